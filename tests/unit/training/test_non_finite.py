"""Non-finite steps: skipped, then one rollback, then an error with the keys of the samples."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.errors import UserError
from dual_hpc.training.non_finite import format_keys, next_action, non_finite_error

POLICIES = st.sampled_from(["stop", "rollback"])


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 4), POLICIES)
def test_a_run_ends_at_its_second_long_row_at_the_latest_and_never_for_a_shorter_one(
    finite: list[bool], limit: int, policy: str
) -> None:
    row, backs, rows = 0, 0, 0
    for good in finite:
        row = 0 if good else row + 1
        action = next_action(row, limit, policy, rolled_back=backs > 0)  # type: ignore[arg-type]
        rows += row == limit
        assert (action == "continue") == (row < limit)
        if action == "roll back":
            backs, row = backs + 1, 0
        if action == "stop":
            assert rows == (2 if policy == "rollback" else 1)
            break
    assert backs <= (policy == "rollback")


def test_the_end_names_samples_report_and_setting_in_one_line() -> None:
    steps = {4: [f"a{n}" for n in range(20)], 5: ["b"]}
    for action, back, text in (
        ("stop", None, "2 steps in a row; samples: a0"),
        ("stop", 3, "although the run went back to step 3 before"),
        ("roll back", None, "there is no checkpoint from before step 4"),
    ):
        error = non_finite_error(steps, Path("reports/non_finite-5.json"), action, back)  # type: ignore[arg-type]
        assert isinstance(error, UserError) and "\n" not in str(error)
        assert text in str(error) and "and 5 more" in str(error)
        assert str(error).startswith("training.non_finite_limit") and "reports/non_finite-5.json" in str(error)


def test_without_keys_the_text_is_empty() -> None:
    assert format_keys([]) == ""
    assert format_keys(["one"]) == "; samples: one"
