"""Is every beep heard and every picture seen when it was? `python -m tests.media.torture` asks it of the whole set.

A file passes if each beep and each picture of it is at most 20 ms from where it was put, and as loud as it was, read as
a whole and read from the middle; or if it is refused in one line, which is counted and named.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.decoding.container import UnreadableMedia
from dual_hpc.data.decoding.media import iter_frames, read_audio
from tests.media.clips import BEEP_SECONDS, FPS, LEVEL, VIDEO_GAP, Clip, Written, all_clips, number_of, write

RATE = 16_000
TOLERANCE = 0.020  # seconds
_LOUDNESS = 2.0  # dB
_MIDDLE = (0.75, 1.15)  # a stretch with one beep, of the content


def faults(clip: Clip, written: Written) -> list[str]:
    """What is wrong with how a file is heard and seen; empty if nothing is.

    Raises:
        UnreadableMedia: it is refused.
    """
    found = _faults(clip, written, None, None)
    if not found:
        first = _MIDDLE[0] + max(clip.audio_offset if clip.audio else 0.0, clip.video_offset if clip.video else 0.0)
        # Where sound and picture do not overlap, one of them has nothing there.
        if clip.video is None or clip.audio is None or abs(clip.audio_offset - clip.video_offset) < 1.0:
            found = [f"from the middle: {one}" for one in _faults(clip, written, first, first + 0.4)]
    return found


def _faults(clip: Clip, written: Written, start: float | None, end: float | None) -> list[str]:
    begin, stop = start or 0.0, end if end is not None else 1e9
    found: list[str] = []
    shifts: list[float] = []  # seconds by which beeps and pictures are late
    if clip.audio is not None:
        wave = read_audio(written.path, start, end)
        for at, hz in clip.beeps().items():
            # A beep at the edge of the stretch may lie on its other side when all is shifted.
            if not begin + 0.1 <= at < stop - 0.1 - BEEP_SECONDS:
                continue
            heard, level = beep(wave, hz, at - begin)
            if heard is None:
                found.append(f"the beep at {at:g} s is not heard")
                continue
            shifts.append(heard + begin - at)
            if clip.audio != "libopencore_amrnb" and abs(20 * np.log10(level / LEVEL)) > _LOUDNESS:
                found.append(f"the beep at {at:g} s has level {level:.2f} instead of {LEVEL}")
        for at, hz in clip.silent().items() if start is None else ():
            if beep(wave, hz, at)[0] is not None:
                found.append(f"the beep at {at:g} s is heard, though it was not recorded")
    if clip.video is not None:
        seen = [(seconds, number_of(shown)) for seconds, shown in iter_frames(written.path, start, end)]
        shifts += [seconds - number / FPS - clip.video_offset for seconds, number in seen if seconds >= begin]
        wanted = {n for n in range(60) if not (clip.video_gap and VIDEO_GAP[0] <= n / FPS < VIDEO_GAP[1])}
        if start is None and len(wanted - {number for _, number in seen}) > 2:
            found.append(f"{len(wanted - {number for _, number in seen})} pictures are not seen")
    # Containers that know no negative time move all streams by what the first packet is early, and say nothing of it.
    shift = min((0.0, written.lead), key=lambda one: abs(float(np.median(shifts)) - one)) if shifts else 0.0
    worst = max(shifts, key=lambda one: abs(one - shift), default=0.0) - shift
    # AVI shows a picture in whole slots, and its writer rounds that.
    if abs(worst) > TOLERANCE + (0.5 / FPS if clip.container == "avi" and written.lead else 0.0):
        found.append(f"up to {1000 * worst:+.0f} ms late")
    if not shifts:
        found.append("nothing was compared")
    return found


def beep(wave: NDArray[np.float32], hz: float, near: float) -> tuple[float | None, float]:
    """Where a tone begins within 0.28 s of `near`, in seconds, and its amplitude; None where there is none."""
    first = max(0, round((near - 0.28) * RATE))
    part = wave[first : round((near + 0.28) * RATE)]
    width = round(0.01 * RATE)
    if part.size < 4 * width:
        return None, 0.0
    carried = part * np.exp(-2j * np.pi * hz * np.arange(part.size) / RATE)
    envelope = 2 * np.abs(np.convolve(carried, np.ones(width) / width, "same"))
    level = float(np.percentile(envelope, 100 * (1 - 0.5 * BEEP_SECONDS * RATE / part.size)))
    if level < 0.1 * LEVEL:
        return None, level
    return (first + int(np.argmax(envelope > 0.5 * level))) / RATE, level


def main(argv: Sequence[str] | None = None) -> int:
    """Write, read and count; exit code 1 if a file fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.media.torture", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="only clips whose name contains this")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the files that fail")
    args = parser.parse_args(argv)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for clip in all_clips():
            if args.only not in clip.name:
                continue
            written = write(clip, Path(folder))
            if written is None:
                counts["not writable"] += 1
                continue
            try:
                found = faults(clip, written)
                counts["failed" if found else "right"] += 1
                if found:
                    print(f"FAILED {clip.name}: {'; '.join(found)}")
            except UnreadableMedia as error:
                found = []
                counts["refused"] += 1
                print(f"refused: {str(error).replace(folder + '/', '')}")
            if found and args.keep is not None:
                args.keep.mkdir(parents=True, exist_ok=True)
                (args.keep / written.path.name).write_bytes(written.path.read_bytes())
            written.path.unlink()
    print(", ".join(f"{count} {what}" for what, count in counts.most_common()))
    return 1 if counts["failed"] or not counts["right"] else 0


if __name__ == "__main__":
    sys.exit(main())
