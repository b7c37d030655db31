"""What the hours of ten runs were used for, preempted, failed, requeued and stopped ones among them, beside Slurm's own
accounts of them; `python -m benchmarks.goodput` writes the table."""

from __future__ import annotations

from typing import Any

import pytest

from tests.slurm.observe import needs_namespaces
from tests.slurm.scene import Scene
from tests.slurm.ten_runs import FAILED, PREEMPTED, REQUEUED, live_and_count

pytestmark = [pytest.mark.slurm, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_the_hours_of_disturbed_runs_are_those_that_slurm_has_counted(cluster: Any, tmp_path: Any) -> None:
    needs_namespaces()
    found = live_and_count(Scene(cluster, tmp_path))
    wrong = []
    for name, one in found.items():
        ours, theirs = one["held"], one["sacct"]["core_hours"]
        shares = {kind: round(share, 1) for kind, share in one["shares"].items() if share}
        line = f"{name}: {3600 * ours:.1f} core-seconds, sacct {3600 * theirs:.0f}, {ours / theirs - 1:+.2%}; {shares}"
        print(line)
        assert one["unit"] == "core-hours" and sum(one["shares"].values()) == pytest.approx(100, abs=0.5)
        wrong += [line] if abs(ours / theirs - 1) > 0.01 else []
    assert not wrong
    for name in (*PREEMPTED, *FAILED, *REQUEUED):
        assert found[name]["shares"]["startup"] > 0 and found[name]["shares"]["useful"] > 0
    assert all(found[name]["hours"]["lost"] + found[name]["hours"]["repeated"] > 0 for name in FAILED)
