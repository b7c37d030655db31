"""An evaluation with a fault of the disk at one call of it: each file of its report is whole or as it was before.

`python -m tests.faults.evaluation LIBRARY FOLDER EVERY one|all`, with the shim preloaded.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir
from tests.faults.command import Contents, Lives, call
from tests.faults.life import Words
from tests.faults.packing import corpus
from tests.faults.shim import Shim

OLD = b"of an evaluation before\n"


def accepted(left: Contents, whole: Contents) -> list[str]:
    """A file of the report that is neither the new one nor the old one."""
    return [name for name, data in left.items() if name.startswith("reports/") and data not in (whole[name], OLD)]


def main(library: str, folder: str, every: str, which: str) -> None:
    root, model = Path(folder), Words()
    shards, path = root / "shards", root / "run"
    code, said = call(["pack", "manifest", str(corpus(root / "corpus")), "--out", str(shards)])
    assert code == 0, said
    settings = [f"store={root}", f"data.shards=[{shards}]", "data.protocol=all", "tracking.enabled=false"]

    run = RunDir.create(root / "template", load_config("demo", settings))
    (run.exports / "best").mkdir(parents=True)
    model.write(run.exports / "best")
    (run.reports / "all_best.md").write_bytes(OLD)

    words = ["evaluate", str(path), "--split", "all", "--subsets", "at"]
    Lives(Shim(library), words, path, lambda: shutil.copytree(root / "template", path), accepted).run(int(every), which)


if __name__ == "__main__":
    main(*sys.argv[1:])
