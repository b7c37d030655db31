"""Settings that contradict each other."""

from __future__ import annotations

import pytest

from dual_hpc.config import load_config
from dual_hpc.errors import UserError


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model.use_audio=false", "model.use_video=false", "model.use_text=false"], "are all off"),
        (["training.compile=encoders", "training.zero_stage=3"], r"^training\.compile=encoders: ZeRO 3"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_before_any_job(overrides: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_config("demo", overrides)


def test_what_the_shards_decide_is_left_to_them() -> None:
    assert load_config("demo", ["model.audio.kind=features"]).model.audio.kind == "features"
