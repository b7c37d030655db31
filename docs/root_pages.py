"""Pages of the site that lie in the root of the repository, where GitHub looks for them: CONTRIBUTING and CHANGELOG.

Their links are written as seen from the root. Below docs/ those into docs/ lose that prefix, and those to other files
become plain names: the site does not hold the sources.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PAGES = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|#)([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages before the site's structure is made."""
    root = Path(config.docs_dir).parent
    for name, source in PAGES.items():
        text = (root / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=_LINK.sub(_moved, text)))
    return files


def _moved(link: re.Match[str]) -> str:
    words, target = link.groups()
    for name, source in PAGES.items():
        target = target.replace(source, f"docs/{name}")
    return f"[{words}]({target.removeprefix('docs/')})" if target.startswith("docs/") else words
