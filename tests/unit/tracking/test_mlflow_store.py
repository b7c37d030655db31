"""The sqlite store of runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dual_hpc.tracking.mlflow_store import Store, newest_experiment


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


def test_the_newest_run_says_which_experiment_to_show(tmp_path: Path) -> None:
    database = tmp_path / "a b é" / "mlflow.db"
    assert newest_experiment(database) is None
    with Store(f"sqlite:///{database}", database).client() as client:
        assert newest_experiment(database) is None
        old, new = (client.create_experiment(name) for name in ("old", "new"))
        for experiment, start in ((old, 1), (new, 3), (old, 2)):
            client.create_run(experiment, start_time=start)
        assert newest_experiment(database) == new
        client.delete_run(client.search_runs([new])[0].info.run_id)
        assert newest_experiment(database) == old
    (tmp_path / "torn.db").write_bytes(b"half a database")
    assert newest_experiment(tmp_path / "torn.db") is None
