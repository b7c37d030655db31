"""A contact sheet: one picture with the middle frame of samples from all over the data set."""

from __future__ import annotations

import io
from pathlib import Path

from dual_hpc.data.decoding.middle_frame import middle_frame
from dual_hpc.data.format.index import ShardIndex
from dual_hpc.data.format.sample import VIDEO, Utterance
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.regular_file import open_regular
from dual_hpc.printable import printable

_TILE, _COLUMNS, _ROWS, _CAPTION = 128, 8, 5, 24  # pixels, tiles, tiles, pixels
_GAP = 2  # pixels around a picture


def write_contact_sheet(folder: Path, index: ShardIndex, path: Path) -> None:
    """A PNG of up to 40 samples, spread evenly; nothing is written where no sample has video."""
    from PIL import Image, ImageDraw

    samples = [(shard.name, s) for shard in index.shards for s in shard.samples if VIDEO in s.members]
    if not samples:
        return
    count = min(len(samples), _COLUMNS * _ROWS)
    chosen = [samples[i * len(samples) // count] for i in range(count)]
    tiles = []
    for shard, sample in chosen:
        tile = Image.fromarray(middle_frame(_read(folder / shard, *sample.members[VIDEO])))
        tile.thumbnail((_TILE - 2 * _GAP, _TILE - 2 * _GAP))
        tiles.append(tile)
    height = max(tile.height for tile in tiles) + 2 * _GAP  # a corpus of wide pictures has low tiles
    rows = -(-count // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * _TILE, rows * (height + _CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (tile, (_, sample)) in enumerate(zip(tiles, chosen, strict=True)):
        left, top = i % _COLUMNS * _TILE, i // _COLUMNS * (height + _CAPTION)
        sheet.paste(tile, (left + (_TILE - tile.width) // 2, top + height - tile.height - _GAP))
        draw.text((left + _GAP, top + height - _GAP), _caption(sample.meta), fill="black")
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())


def _read(path: Path, offset: int, size: int) -> bytes:
    with open_regular(path) as file:
        file.seek(offset)
        return file.read(size)


def _caption(meta: Utterance) -> str:
    text = f"{printable(meta.label or '-', 20)} {printable(meta.options.get('crop', ''), 20)}\n{meta.key[-22:]}"
    return text.encode("ascii", "replace").decode()
