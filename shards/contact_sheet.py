"""One picture of what was packed: the middle frame of samples from all over the data set."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.index import ShardIndex
from dual_hpc.data.sample import VIDEO, Utterance
from shards.parts import write_atomically

_TILE, _COLUMNS, _ROWS, _CAPTION = 128, 8, 5, 24  # pixels, tiles, tiles, pixels


def write_contact_sheet(folder: Path, index: ShardIndex, path: Path) -> None:
    """A PNG of up to 40 samples, spread evenly; nothing is written where no sample has video."""
    from PIL import Image, ImageDraw

    samples = [(shard.name, s) for shard in index.shards for s in shard.samples if VIDEO in s.members]
    if not samples:
        return
    chosen = [samples[i * len(samples) // min(len(samples), _COLUMNS * _ROWS)] for i in range(min(len(samples), 40))]
    rows = -(-len(chosen) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _TILE, rows * (_TILE + _CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (shard, sample) in enumerate(chosen):
        offset, size = sample.members[VIDEO]
        with open(folder / shard, "rb") as file:
            file.seek(offset)
            frame = Image.fromarray(middle_frame(file.read(size)))
        frame.thumbnail((_TILE - 4, _TILE - 4))
        left, top = i % _COLUMNS * _TILE, i // _COLUMNS * (_TILE + _CAPTION)
        sheet.paste(frame, (left + (_TILE - frame.width) // 2, top + _TILE - frame.height - 2))
        draw.text((left + 2, top + _TILE - 2), _caption(sample.meta), fill="black")
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


def middle_frame(mp4: bytes) -> NDArray[np.uint8]:
    """RGB picture [H, W, 3] in the middle of a packed video."""
    with av.open(io.BytesIO(mp4), "r", format="mp4") as container:
        stream = container.streams.video[0]
        wanted = stream.frames // 2
        for number, frame in enumerate(container.decode(stream)):
            if number == wanted:
                return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
    raise ValueError("no picture in a packed video")


def _caption(meta: Utterance) -> str:
    text = f"{meta.label or '-'} {meta.options.get('crop', '')}\n{meta.key[-22:]}"
    return text.encode("ascii", "replace").decode()
