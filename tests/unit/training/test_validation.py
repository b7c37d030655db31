"""Which modalities choose the best weights."""

from __future__ import annotations

import pytest

from dual_hpc.config import load_config
from dual_hpc.evaluation.selection import selecting_subset
from dual_hpc.training.validation import selection_score, subsets


@pytest.mark.parametrize(
    ("off", "scored"),
    [
        ((), ["av", "avt"]),
        (("text",), ["av"]),
        (("video", "text"), ["av"]),
        (("audio", "video"), ["t"]),  # without text it would answer all samples alike
    ],
)
def test_what_a_model_cannot_read_does_not_choose_its_weights(off: tuple[str, ...], scored: list[str]) -> None:
    config = load_config("demo", [f"model.use_{name}=false" for name in off])
    assert subsets(config) == scored and selecting_subset(config) == scored[0]
    assert selection_score({f"val/{scored[0]}/ua": 0.5}, config) == 0.5


def test_a_family_of_one_modality_is_chosen_by_it() -> None:
    for family, subset in (("text_only", "t"), ("audio_only", "av"), ("mult", "av")):
        assert selecting_subset(load_config("demo", [f"model.family={family}"])) == subset
