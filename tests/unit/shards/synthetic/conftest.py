"""One small synthetic IEMOCAP for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from shards.synthetic import Summary, generate


@pytest.fixture(scope="session")
def iemocap(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    """Twenty utterances with real media, quirks included."""
    out: Path = tmp_path_factory.mktemp("corpora") / "IEMOCAP"
    return generate("iemocap", out, utterances=20, seed=3, progress=False)
