"""The warning about data that come too slowly: when it is given, and what it names."""

from __future__ import annotations

import pytest

from dual_hpc.config import RunConfig, load_config
from dual_hpc.training.slow_data import SlowDataWarning, remedy

FROZEN = [f"model.{name}.trainable=none" for name in ("audio", "video", "text")]


def config(*overrides: str) -> RunConfig:
    return load_config("demo", ["store=s", *overrides])


@pytest.mark.parametrize(
    ("overrides", "cores", "named"),
    [
        (["data.workers=1"], 8, "data.workers=auto would start 7"),
        (["data.workers=0"], 1, "data.workers=auto would start 1"),
        (["data.workers=auto", *FROZEN], 8, "`dual-hpc extract`"),
        (["data.workers=auto", *FROZEN[:2]], 8, "launch.cpus_per_rank"),
        (["data.workers=auto", *FROZEN[:2], "model.use_text=false"], 8, "`dual-hpc extract`"),
        (["data.workers=12"], 8, "launch.cpus_per_rank"),
        ([f"model.{name}.kind=features" for name in ("audio", "video", "text")], 1, "data.micro_batch"),
    ],
)
def test_it_names_the_setting_to_change(overrides: list[str], cores: int, named: str) -> None:
    assert named in remedy(config(*overrides), cores)


def test_it_is_given_once_and_not_of_the_interval_in_which_workers_start() -> None:
    warning = SlowDataWarning(config(), 8)
    said = [warning.after_interval(share) for share in (0.9, 0.1, 0.2, 0.35, 0.5)]
    assert [line is not None for line in said] == [False, False, False, True, False]
    assert said[3] is not None and said[3].startswith("training waits for data 35% of its time: data.workers")
