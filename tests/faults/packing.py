"""A pack with a fault of the disk at one call of it, in its process or its workers; the same command must finish it.

`python -m tests.faults.packing LIBRARY FOLDER EVERY one|all`, with the shim preloaded and FAULTS_SHARED set.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import soundfile

from tests.faults.command import Contents, Lives
from tests.faults.shim import Shim
from tests.media.clips import Clip, write


def corpus(folder: Path) -> Path:
    """Four clips, one of them with pictures, and one that cannot be read: three shards, and something to report."""
    folder.mkdir()
    rows = ["id,audio,video,text,label"]
    for number in range(3):
        wave = 0.3 * np.sin(np.arange(4_000 + 800 * number) / 7)
        soundfile.write(folder / f"{number}.wav", wave, 16_000)
        rows.append(f"c{number},{number}.wav,,so it goes,happy")
    filmed = write(Clip("mp4", "libx264", "aac"), folder)
    assert filmed is not None
    (folder / "bad.wav").write_bytes(b"RIFF no sound")
    rows += [f"film,,{filmed.path.name},never,sad", "bad,bad.wav,,gone,sad"]
    (folder / "corpus.csv").write_text("\n".join(rows) + "\n")
    return folder / "corpus.csv"


def absent_shards(left: Contents) -> list[str]:
    """Shards that the index names and that are not there as it names them; none without an index."""
    shards = json.loads(left.get("index.json", b'{"shards": []}'))["shards"]
    return [s["name"] for s in shards if hashlib.sha256(left.get(s["name"], b"")).hexdigest() != s["sha256"]]


def accepted(left: Contents, whole: Contents) -> list[str]:
    """An index that names what is not there, or is not beside the report of what was left out."""
    reports = ("report.json", "report.md") if "index.json" in left else ()
    return absent_shards(left) + [name for name in reports if left.get(name) != whole[name]]


def main(library: str, folder: str, every: str, which: str) -> None:
    root = Path(folder)
    out = root / "shards"
    words = ["pack", "manifest", str(corpus(root / "corpus")), "--out", str(out), "--shard-samples", "2"]
    Lives(Shim(library), words, out, lambda: None, accepted).run(int(every), which)


if __name__ == "__main__":
    main(*sys.argv[1:])
