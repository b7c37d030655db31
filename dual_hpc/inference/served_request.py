"""What a served model is asked must be a batch as training made them: nothing else may cost its server memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dual_hpc.errors import UserError

if TYPE_CHECKING:
    from dual_hpc.model.emotion_config import EmotionConfig

_MARGIN = 1.0  # seconds by which a client's own cutting may differ
_ROWS = 4_096


def check_request(batch: Mapping[str, NDArray[Any]], config: EmotionConfig) -> None:
    """Refuse what no training has shown the model.

    Args:
        batch: tensors by name; see the table in docs/house.md.

    Raises:
        UserError: names the tensor, and what it may be.
    """
    limits, rows = config.preprocessing, {len(array) if array.ndim else 0 for array in batch.values()}
    if not rows or len(rows) > 1 or not 1 <= min(rows) <= _ROWS:
        raise UserError(f"the request must have tensors of the same number of rows, 1 to {_ROWS:,}")
    if "durations" not in batch:
        raise UserError("durations: is missing (seconds of each row)")
    seconds = float(limits["max_seconds"]) + _MARGIN
    longest = {
        "waveform": seconds * limits["sample_rate"],
        "frames": seconds * limits["video_hz"] + 1,
        "input_ids": limits["max_tokens"],
    }
    for name, array in batch.items():
        if array.dtype.kind not in "iufb":
            raise UserError(f"{name}: must hold numbers")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise UserError(f"{name}: holds values that are not numbers (NaN or infinite)")
        if array.ndim > 1 and array.shape[1] > longest.get(name, array.shape[1]):
            raise UserError(f"{name}: is longer than the {limits['max_seconds']:g} s or tokens that the model reads")
    durations = batch["durations"]
    if durations.ndim != 1 or durations.min() < 0 or durations.max() > seconds:
        raise UserError(f"durations: must be 0 to {limits['max_seconds']:g} seconds, one for each row")
    _check_lengths(batch)
    _check_tokens(batch, config)


def _check_lengths(batch: Mapping[str, NDArray[Any]]) -> None:
    for name, lengths in batch.items():
        content = batch.get({"waveform_lengths": "waveform", "frame_lengths": "frames"}.get(name, name[:-8]))
        if not name.endswith("_lengths") or content is None:
            continue
        if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or content.ndim < 2:
            raise UserError(f"{name}: must be whole numbers, one for each row")
        if lengths.min() < 0 or lengths.max() > content.shape[1]:
            raise UserError(f"{name}: must be 0 to {content.shape[1]}, which is what the tensor has")


def _check_tokens(batch: Mapping[str, NDArray[Any]], config: EmotionConfig) -> None:
    ids = batch.get("input_ids")
    if ids is None:
        return
    mask, words = batch.get("attention_mask"), int(config.text["config"].get("vocab_size", 1 << 31))
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or mask is None or mask.shape != ids.shape:
        raise UserError("input_ids: must be whole numbers [rows, tokens], with an attention_mask of the same shape")
    if ids.size and (ids.min() < 0 or ids.max() >= words):
        raise UserError(f"input_ids: must be 0 to {words - 1}, the numbers of the tokenizer's words")
