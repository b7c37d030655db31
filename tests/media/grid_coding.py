"""Are the pictures of the fast path those of a full decode, and what does the coding cost? `make grid-coding N=10000`.

For each drawn clip (`scenes.py`): the pictures that training takes at several rates equal, bit by bit, those chosen
from all pictures of the file, decoded from end to end; time stamps and duration are those of the source. Then bytes and
errors beside the coding that shards had before. What was found is kept in a file, a line per clip, and a sweep that was
ended goes on where it stopped.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from dual_hpc.data.decoding.decode import decode_video
from dual_hpc.data.decoding.disposable import needed_frames
from dual_hpc.data.decoding.grid import frame_times, pictures_at
from dual_hpc.data.preparation.encode import encode_mp4
from tests.media.every_picture_reference import encode_references
from tests.media.scenes import Scene, scene

ASKED = (1.0, 2.5, 5.0, 7.3, 10.0, 25.0, 30.0)  # `data.video_hz`, besides the clip's own grid
CRF = 23


def faults(one: Scene, mp4: bytes) -> list[str]:
    """What is wrong with how a clip is coded and read; empty if nothing is."""
    found, pictures = _stamp_faults(one, mp4), all_pictures(mp4)
    side = 24 + one.seed % 90
    for hz in (one.grid_hz, ASKED[one.seed % len(ASKED)], ASKED[one.seed // 7 % len(ASKED)]):
        for longest in (20.0, 0.7):
            # The sound may be longer than the pictures.
            duration = len(one.pictures) / float(one.fps) + (0.4 if one.seed % 3 == 0 else 0.0)
            taken = decode_video(mp4, duration, hz, longest, side)
            expected = chosen(pictures, frame_times(duration, hz, longest), side)
            if not np.array_equal(taken, expected):
                which = [k for k in range(len(expected)) if not np.array_equal(taken[k], expected[k])]
                found.append(f"at {hz:g} Hz the pictures {which} of {len(expected)} are others")
    return found


def _stamp_faults(one: Scene, mp4: bytes) -> list[str]:
    with av.open(io.BytesIO(mp4)) as container:
        stream = container.streams.video[0]
        unit = stream.time_base or Fraction(1)
        shown = [frame.pts * unit for frame in container.decode(stream) if frame.pts is not None]
        length = (stream.duration or 0) * unit
    right = [number / one.fps for number in range(len(one.pictures))]
    faults = [] if shown == right else [f"{len(shown)} pictures, or their times, are not those of the source"]
    wanted = len(right) / one.fps
    return faults if length == wanted else [*faults, f"lasts {float(length):.6g} s instead of {float(wanted):.6g} s"]


def all_pictures(mp4: bytes) -> list[tuple[float, Any]]:
    """(seconds, frame) of every picture of a file, decoded from end to end."""
    with av.open(io.BytesIO(mp4)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        unit = stream.time_base or Fraction(1)
        return [(float((frame.pts or 0) * unit), frame) for frame in container.decode(stream)]


def chosen(pictures: Sequence[tuple[float, Any]], times: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """The picture on show at each time, found by looking at every one; u8 [F, side, side, 3]."""
    taken = []
    for time in times:
        shown = [frame for seconds, frame in pictures if seconds - pictures[0][0] <= time + 1e-6]
        taken.append(VideoReformatter().reformat(shown[-1], side, side, "rgb24", threads=1).to_ndarray())
    return np.stack(taken)


def decoded_count(mp4: bytes, seconds: float, hz: float) -> int:
    """How many pictures are decoded to take those at `hz`."""
    return sum(1 for _ in needed_frames(mp4, frame_times(seconds, hz, seconds)))


def planes(one: Scene) -> list[NDArray[np.int32]]:
    """The pictures as the encoder is given them."""
    frames, scale = (
        (av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in one.pictures),
        VideoReformatter(),
    )
    scaled = (scale.reformat(frame, *one.size, format="yuv420p", interpolation=Interpolation.AREA) for frame in frames)
    return [frame.to_ndarray().astype(np.int32) for frame in scaled]


def squared_errors(source: Sequence[NDArray[np.int32]], mp4: bytes) -> NDArray[np.float64]:
    """Mean squared error of the stored planes of each picture, [n]."""
    pictures = zip(source, all_pictures(mp4), strict=True)
    return np.array([np.mean((planes - frame.to_ndarray()) ** 2) for planes, (_, frame) in pictures])


def _psnr(errors: NDArray[np.float64]) -> float:
    return round(10 * float(np.log10(255**2 / max(float(errors.mean()), 1e-3))), 3)


def examine(seed: int) -> dict[str, Any]:
    """All that the sweep keeps of a clip."""
    one = scene(seed)
    mp4, _ = encode_mp4(iter(one.pictures), one.fps, one.size, CRF, one.grid_hz)
    plain = encode_references(one.pictures, one.fps, one.size, CRF)
    found = faults(one, mp4)
    if mp4 != encode_mp4(iter(one.pictures), one.fps, one.size, CRF, one.grid_hz)[0]:
        found.append("other bytes when it is coded again")
    source, stamps = planes(one), np.arange(len(one.pictures)) / float(one.fps)
    looked_at = np.unique(pictures_at(stamps, frame_times(len(stamps) / float(one.fps), one.grid_hz, np.inf)))
    errors = [squared_errors(source, coded) for coded in (mp4, plain)]
    rows = {
        "bytes": [len(mp4), len(plain)],
        "psnr": [_psnr(each) for each in errors],
        "grid_psnr": [_psnr(each[looked_at]) for each in errors],
        "faults": found,
    }
    return {"seed": seed, "kind": one.kind, "grid": one.grid_hz, "fps": float(one.fps), "clip": str(one), **rows}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.media.grid_coding", description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--out", type=Path, default=Path("grid-coding.jsonl"), help="what was found, a line per clip")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.clips)
    known = [json.loads(line) for line in options.out.read_text().splitlines()] if options.out.exists() else []
    done = {row["seed"] for row in known}
    with open(options.out, "a") as file:
        for seed in seeds:
            if seed not in done:
                known.append(examine(seed))
                print(json.dumps(known[-1]), file=file, flush=True)
    return summary([row for row in known if row["seed"] in seeds])


def summary(rows: Sequence[dict[str, Any]]) -> int:
    """Print what was found; 1 if a clip has a fault."""
    groups: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups["all"].append(row)
        groups[f"{row['kind']}"].append(row)
        groups[
            "5 Hz grid of 24 pictures/s and more" if row["grid"] == 5 and row["fps"] >= 23 else "other rates"
        ].append(row)
    print(f"{'':36} clips   bytes (mean of clips)   PSNR, dB: mean, before   of the grid's pictures, before")
    for name, members in groups.items():
        total, before = (sum(row["bytes"][i] for row in members) for i in (0, 1))
        each = np.mean([row["bytes"][0] / row["bytes"][1] for row in members])
        new, old = np.mean([row["psnr"] for row in members], axis=0)
        grid, earlier = np.mean([row["grid_psnr"] for row in members], axis=0)
        figures = f"{total / before:5.3f} ({each:5.3f})   {new:6.2f} {old:6.2f}   {grid:6.2f} {earlier:6.2f}"
        print(f"{name:36} {len(members):5}   {figures}")
    larger = max(rows, key=lambda row: row["bytes"][0] / row["bytes"][1])
    worse = min(rows, key=lambda row: row["psnr"][0] - row["psnr"][1])
    print(f"largest against before: {larger['bytes']} bytes, {larger['psnr']} dB: {larger['clip']}")
    print(f"worst against before: {worse['bytes']} bytes, {worse['psnr']} dB: {worse['clip']}")
    bad = [row for row in rows if row["faults"]]
    for row in bad[:20]:
        print(f"FAULT {row['clip']}: {'; '.join(row['faults'])}")
    print(f"{len(rows)} clips, {len(bad)} with a fault ({dict(Counter(row['kind'] for row in bad))})")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
