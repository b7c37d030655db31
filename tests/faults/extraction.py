"""An extraction of features with a fault of the disk at one call of it; the same command must finish it.

`python -m tests.faults.extraction LIBRARY FOLDER EVERY one|all`, with the shim preloaded.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.faults.command import Contents, Lives, call
from tests.faults.life import Words
from tests.faults.packing import absent_shards, corpus
from tests.faults.shim import Shim


def accepted(left: Contents, whole: Contents) -> list[str]:
    """An index that names what is not there."""
    return absent_shards(left)


def main(library: str, folder: str, every: str, which: str) -> None:
    root = Path(folder)
    media, model, out = root / "media", root / "model", root / "features"
    code, said = call(["pack", "manifest", str(corpus(root / "corpus")), "--out", str(media), "--shard-samples", "2"])
    assert code == 0, said
    model.mkdir()
    Words().write(model)
    words = ["extract", str(media), "--model", str(model), "--out", str(out)]
    Lives(Shim(library), words, out, lambda: None, accepted).run(int(every), which)


if __name__ == "__main__":
    main(*sys.argv[1:])
