"""What the checkpoint benchmark makes of its measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, which is not part of the installed packages."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))
    import benchmarks.checkpoint.__main__ as main

    return main


def figures(blocked: float, total: float, processor: float, memory: float) -> dict[str, float]:
    return {"blocked": blocked, "total": total, "processor": processor, "memory": memory, "alone": 2.0}


def test_a_delay_is_counted_within_its_round_so_a_busy_moment_does_not_show(bench: Any) -> None:
    nothing = [figures(0, 6.0, 5.0, 0), figures(0, 60.0, 5.5, 0), figures(0, 6.0, 5.0, 2**20)]
    saving = [figures(0.5, 7.0, 5.25, 2**20), figures(5.0, 61.0, 5.75, 2**20), figures(0.5, 6.5, 5.5, 2**21)]
    found = {"blocked": 0.5, "delay": 1.0, "processor": 0.25, "memory": 2**20, "alone": 2.0}
    assert bench.summary(saving, nothing) == found


def test_a_row_above_one_means_that_ours_costs_less(bench: Any) -> None:
    found = {
        "ours, synchronous": {"blocked": 1.0, "delay": 1.0, "processor": 1.0, "alone": 1.0, "memory": 2**20},
        "ours, asynchronous": {"blocked": 0.25, "delay": 2.0, "processor": 0.5, "alone": 1.0, "memory": 2**20},
        "DeepSpeed save_checkpoint": {"blocked": 0.5, "delay": 1.0, "processor": 1.0, "alone": 1.0, "memory": 2**21},
        "torch async_save": {"blocked": 0.5, "delay": 1.0, "processor": 1.0, "alone": 1.0, "memory": 2**20},
    }
    rows = {(row["case"], row["peer_name"]): row for row in bench.saving(found, step=0.5)}
    assert len(rows) == 15
    assert rows["blocked per save, synchronous", "DeepSpeed save_checkpoint"]["ratio"] == 0.5
    assert rows["blocked per save, asynchronous", "torch async_save"]["ours"] == 0.5  # of a step
    assert rows["delay per save, asynchronous", "torch async_save"]["ratio"] == 0.5
    assert rows["processor per save, asynchronous", "torch async_save"]["ratio"] == 2.0
    assert rows["memory per save, synchronous", "DeepSpeed save_checkpoint"]["peer"] == 2.0  # MiB


def test_reading_is_compared_in_bytes_per_second_within_a_round(bench: Any) -> None:
    reads = {
        "verify, blake3": [{"total": 1.0}, {"total": 10.0}, {"total": 1.0}],
        "verify, sha256": [{"total": 3.0}, {"total": 40.0}, {"total": 3.5}],
        "resume, blake3": [{"total": 2.0}] * 3,
        "resume, sha256": [{"total": 1.0}] * 3,
    }
    verify, resume = bench.reading(reads, 2**31, ", large")
    assert (verify["case"], verify["ours"], verify["ratio"], verify["lowest"]) == ("verify, large", 2.0, 3.5, 3.0)
    assert resume["ratio"] == 0.5
