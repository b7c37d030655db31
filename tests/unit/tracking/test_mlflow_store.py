"""The sqlite store of runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dual_hpc.tracking.mlflow_store import Store


def test_a_store_whose_making_was_cut_short_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(f"sqlite:///{tmp_path}/mlflow.db", tmp_path / "mlflow.db")

    def killed(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(os, "replace", killed)
        with store.client():
            pass
    (tmp_path / "mlflow.0.fresh").write_bytes(b"half a database")
    with store.client() as client:
        assert client.search_experiments()
    assert not list(tmp_path.glob("*.fresh*"))
