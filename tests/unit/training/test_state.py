"""The training state in a manifest: what earlier versions wrote is read, and is written the same way."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from dual_hpc.training.state import TrainingState

# Literally the state that an earlier version wrote, without its settings.
EARLIER = """
{
 "bad_samples": [{"faults": [{"members": ["flac"], "reason": "broken"}], "line": "a.tar: u0: audio", "number": 0}],
 "best_score": 0.5,
 "best_step": 2,
 "loader": {"dataset_id": "x", "epoch": 1, "global_batch": 12, "samples_consumed": 48, "seed": 0},
 "owes_validation": true,
 "rolled_back": 3,
 "score": null,
 "sick": {"4": ["u0", "u1"]},
 "skipped": 2,
 "step": 4
}
"""


def test_a_state_of_an_earlier_version_is_read() -> None:
    state = TrainingState.from_manifest(json.loads(EARLIER))
    assert state == TrainingState(
        step=4,
        loader={"dataset_id": "x", "epoch": 1, "global_batch": 12, "samples_consumed": 48, "seed": 0},
        bad_samples=[{"faults": [{"members": ["flac"], "reason": "broken"}], "line": "a.tar: u0: audio", "number": 0}],
        best_score=0.5,
        validation_pending=True,
        skipped=2,
        non_finite_steps={4: ["u0", "u1"]},
        rolled_back=3,
    )


def test_a_state_is_written_with_the_names_of_earlier_versions() -> None:
    written = json.loads(EARLIER)
    again = json.loads(json.dumps(TrainingState.from_manifest(written).to_manifest()))
    assert written.pop("best_step") == 2 and again == written


def test_a_field_of_another_version_is_an_error() -> None:
    with pytest.raises(ValidationError, match="mood"):
        TrainingState.from_manifest({"step": 3, "mood": 1})
