"""What to change where data come too slowly."""

from __future__ import annotations

import pytest

from dual_hpc.config import RunConfig, load_config
from dual_hpc.training.slow_data import remedy

FROZEN = [f"model.{name}.trainable=none" for name in ("audio", "video", "text")]


def config(*overrides: str) -> RunConfig:
    return load_config("demo", ["store=s", *overrides])


@pytest.mark.parametrize(
    ("overrides", "cores", "named"),
    [
        (["data.workers=1"], 8, "raise data.workers (1 of 8 cores used; auto would start 7)"),
        (["data.workers=0"], 1, "raise data.workers (0 of 1 cores used; auto would start 1)"),
        (["data.workers=auto", *FROZEN], 8, "`dual-hpc extract`"),
        (["data.workers=auto", *FROZEN[:2]], 8, "launch.cpus_per_rank"),
        (["data.workers=auto", *FROZEN[:2], "model.use_text=false"], 8, "`dual-hpc extract`"),
        (["data.workers=12"], 8, "launch.cpus_per_rank"),
        ([f"model.{name}.kind=features" for name in ("audio", "video", "text")], 1, "data.micro_batch"),
    ],
)
def test_it_names_the_setting_to_change(overrides: list[str], cores: int, named: str) -> None:
    assert named in remedy(config(*overrides), cores)
