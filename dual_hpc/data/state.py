"""The position of training in its data, and whether a run may continue from there."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from dual_hpc.errors import UserError


@dataclass(frozen=True)
class LoaderState:
    """One integer of position, and what must not have changed for it to mean the same samples."""

    epoch: int  # of the next sample; follows from samples_consumed, kept for the reader
    samples_consumed: int  # over all ranks, since the start of the run
    seed: int
    dataset_id: str  # of the shards, and after the colon of the selection and kind of order
    global_batch: int
    order: int = 1  # `order_version` of the sampler; not written if it is 1, as before there were others

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        fields = asdict(self)
        if self.order == 1:
            del fields["order"]
        return fields


def resume_position(saved: dict[str, Any], expected: LoaderState) -> int:
    """`samples_consumed` of a saved state, if the loader that made it equals `expected` in all else.

    Raises:
        UserError: not such a state, other shards, another selection, order, seed or global batch.
    """
    try:
        state = LoaderState(**saved)
    except TypeError as error:
        raise UserError(f"the checkpoint's data state is not one of this version: {error}") from error
    consumed = state.samples_consumed
    if (
        type(consumed) is not int
        or not 0 <= consumed < 2**62
        or type(state.dataset_id) is not str
        or type(state.order) is not int
    ):
        raise UserError(f"the checkpoint's data state is damaged: {saved}")
    shards, _, selection = state.dataset_id.partition(":")
    expected_shards, _, expected_selection = expected.dataset_id.partition(":")
    if shards != expected_shards:
        raise UserError(
            f"data.shards: the run began with data set {shards}, these shards are {expected_shards}; "
            "restore data.shards of the run, or start a new run"
        )
    if selection != expected_selection:
        raise UserError(
            "data: the run began with another selection or order of samples; restore data.protocol, test_fold, "
            "validation, shuffle_window, bucket_by_length and (with it) max_seconds, or start a new run"
        )
    if state.order != expected.order:
        raise UserError(
            f"data: the run began with version {state.order} of the order of samples, this code has version "
            f"{expected.order} for these shards: samples would be repeated or left out; resume without --new-code, so "
            "that the run keeps the code that it began with, or start a new run"
        )
    for name in ("seed", "global_batch"):
        if getattr(state, name) != getattr(expected, name):
            setting = "seed" if name == "seed" else "data.global_batch"
            raise UserError(
                f"{setting}: the run began with {getattr(state, name)}, not {getattr(expected, name)}; "
                "it is fixed for a run (the number of ranks is not)"
            )
    return consumed
