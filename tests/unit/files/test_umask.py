"""What the umask decides, and what it does not: a run is its user's alone, what lies beside it the project's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dual_hpc.files.umask import share, user_umask

# Prints the umask that the user gave, before and after the process has made a file, and gives one to the group.
PROGRAM = """
import os, sys
from pathlib import Path
from dual_hpc.files.umask import keep_new_files_private, share, user_umask
given = user_umask()
if sys.argv[2] == "private":
    keep_new_files_private()
    keep_new_files_private()
assert user_umask() == given
folder = Path(sys.argv[1])
(folder / "file").write_text("")
(folder / "folder").mkdir()
(folder / "shared").write_text("")
os.chmod(folder / "shared", 0o644)  # as sqlite makes its files
(folder / "together").mkdir(mode=0o700)
share(folder / "shared")
share(folder / "together")
"""


@pytest.mark.parametrize("kind", ["private", "as given"])
@pytest.mark.parametrize("umask", [0o000, 0o002, 0o007, 0o022, 0o027, 0o077])
def test_files_of_a_run_keep_others_from_writing_and_shared_ones_get_what_the_user_gives(
    umask: int, kind: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o2755)
    subprocess.run([sys.executable, "-c", PROGRAM, tmp_path, kind], check=True, umask=umask)
    own = umask | (0o022 if kind == "private" else 0)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in tmp_path.iterdir()}
    assert modes == {
        "file": 0o666 & ~own,
        "folder": 0o2777 & ~own,
        "shared": 0o666 & ~umask,
        "together": 0o2777 & ~umask,
    }


def test_the_umask_is_read_without_being_set(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~user_umask()
    with pytest.raises(FileNotFoundError):
        share(tmp_path / "gone")
