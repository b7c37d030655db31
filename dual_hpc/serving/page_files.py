"""The files of the page, from the package: read once, each under its own address."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

_KINDS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True)
class PageFile:
    """Content and type of a file."""

    kind: str
    content: bytes


def page_files() -> dict[str, PageFile]:
    """Address -> file; the page itself is `/`."""
    folder = files("dual_hpc.serving") / "page"
    found = {}
    for file in folder.iterdir():
        kind = _KINDS.get(file.name.rpartition(".")[2])
        if kind is not None:
            found["/" if file.name == "index.html" else f"/{file.name}"] = PageFile(kind, file.read_bytes())
    return found
