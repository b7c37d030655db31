"""How large an audio file says it is, against how large it is: its reader believes the file and hides a loss."""

from __future__ import annotations

from pathlib import Path

from dual_hpc.files.regular_file import open_regular

# Written where the size was not known yet, because the file went through a pipe or its writer died: ffmpeg 0xFFFFFFFF,
# sox 0x7FFFF024, others 2000000036, 0x80000024, 0x7FFFFFFF or nothing.
_ROUND = 2_000_000_000
_PLACEHOLDERS = (range(_ROUND, _ROUND + 129), range(0x7FFF_F000, 0x8000_0100), range(0xFFFF_FF00, 0x1_0000_0000))


def excess(path: str | Path) -> float:
    """How many times larger a RIFF or RF64 file says it is than it is, at least 1; 1 where it does not say."""
    with open_regular(path) as file:
        head = file.read(28)
    claimed = int.from_bytes(head[4:8], "little")
    if head[:4] in (b"RF64", b"BW64") and head[12:16] == b"ds64":
        claimed = int.from_bytes(head[20:28], "little")
        if claimed >= 1 << 62:
            return 1.0
    elif head[:4] != b"RIFF" or any(claimed in placeholder for placeholder in _PLACEHOLDERS):
        return 1.0
    return max(1.0, (claimed + 8) / max(1, Path(path).stat().st_size))
