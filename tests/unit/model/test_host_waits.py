"""How often a step makes the host wait for its device: values that are asked for, and copies of lists and numbers.

There is no device here, so it is counted what would wait if all tensors of the model and the batch were on one.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from dual_hpc.host_values import host_values, known_on_host
from dual_hpc.model.encoders.frames import encode_valid
from dual_hpc.model.grid import grid_lengths, most_steps
from dual_hpc.model.masking import blank

# What has an answer whose value or size depends on contents.
_ASKING = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "equal")
_METHODS = ("tolist", "numpy", "cpu", "new_tensor")
_FUNCTIONS = ("tensor", "as_tensor")
_ON_A_CPU = ("torch_onednn.py", "torch_similarity.py")  # code for a CPU, where asking costs nothing


class _Asked(TorchDispatchMode):
    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        by_mask = name in ("index", "index_put", "index_put_") and any(
            one is not None and one.dtype == torch.bool for one in args[1]
        )
        by_mask = by_mask and (name == "index" or args[2].dim() > 0)  # one number in all places is a `masked_fill`
        if name in _ASKING or by_mask:
            self._note(name)
        return function(*args, **(kwargs or {}))


@contextmanager
def waits() -> Iterator[Counter[str]]:
    """What would make the host wait, by the line of the project or of a library that does it."""
    found: Counter[str] = Counter()

    def note(what: str) -> None:
        here = [one for one in traceback.extract_stack() if "/torch/" not in one.filename and one.filename != __file__]
        file = Path(here[-1].filename).name if here else "backward"
        if file not in _ON_A_CPU:
            found[f"{what} in {file}"] += 1

    def noting(owner: Any, name: str) -> Any:
        original = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            note(name)
            return original(*args, **kwargs)

        return patch.object(owner, name, call)

    with ExitStack() as stack:
        for owner, names in ((torch.Tensor, _METHODS), (torch, _FUNCTIONS)):
            for name in names:
                stack.enter_context(noting(owner, name))
        stack.enter_context(_Asked(note))
        yield found


def on_device(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch as `ToDevice` hands it over."""
    small = {name for name, value in batch.items() if value.dim() == 1 or name == "attention_mask"}
    return {
        name: known_on_host(value.clone(), value.tolist()) if name in small else value for name, value in batch.items()
    }


SPEECH_MASK = {"_local_scalar_dense in masking_utils.py": 1}  # transformers asks whether the sound is padded


@pytest.mark.parametrize(
    ("family", "rest"),
    [("light", {}), ("features", {}), ("wav2vec2-vit-roberta", SPEECH_MASK), ("hubert", SPEECH_MASK), ("wavlm", {})],
)
@pytest.mark.parametrize("loss", ["cross_entropy", "focal", "logit_adjustment"])
def test_a_micro_batch_makes_the_host_wait_for_nothing_that_is_ours(
    family: str, rest: dict[str, int], loss: str, make_model: Any, make_batch: Any
) -> None:
    model, batch = make_model(family, kernels="torch", loss=loss).train(), on_device(make_batch())
    model(**batch).loss.backward()  # makes what is kept
    with waits() as found:
        model(**batch).loss.backward()
    assert found == rest


def test_what_waits_is_counted() -> None:
    x = torch.tensor([1.0, 0.0])
    with waits() as found:
        x.max().item()
        (x > 0).nonzero()
        x[x > 0]
        bool((x > 0).all())
        x.new_tensor([1.0])
        x.tolist()
    assert sum(found.values()) == 6
    with waits() as found:
        known = known_on_host(x, [1.0, 0.0])
        assert host_values(known) == [1.0, 0.0]
    assert not found
    assert host_values(known * 2) == [2.0, 0.0]


@pytest.mark.parametrize("lengths", [[0, 0], [0, 3], [2, 0], [3, 3], [1, 2], [9, 1], [0]])
def test_the_frames_to_encode_are_the_valid_ones_and_the_very_first(lengths: list[int]) -> None:
    frames = torch.arange(len(lengths) * 3).view(-1, 3, 1, 1, 1)
    wanted = [3 * row + step for row, length in enumerate(lengths) for step in range(min(length, 3))]
    seen: list[int] = []

    def encode(chosen: torch.Tensor) -> torch.Tensor:
        seen.extend(chosen.flatten().tolist())
        return chosen.flatten(1).float() + 1

    features = encode_valid(encode, frames, torch.tensor(lengths)).flatten().tolist()
    assert seen == sorted({0, *wanted})
    assert features == [float(place + 1) if place in wanted else 0.0 for place in range(3 * len(lengths))]


@given(st.lists(st.floats(0, 60, width=32), min_size=1, max_size=6), st.floats(0.5, 50))
def test_the_steps_counted_on_the_host_are_those_of_the_device(seconds: list[float], grid_hz: float) -> None:
    durations = torch.tensor(seconds)
    assert most_steps(durations, grid_hz) == int(grid_lengths(durations, grid_hz).max())


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("family", ["light", "melcnn", "wav2vec2-vit-roberta"])
def test_text_is_encoded_as_transformers_does_with_the_plain_mask(
    family: str, padded: bool, make_model: Any, make_batch: Any
) -> None:
    encoder, batch = make_model(family).text_encoder, make_batch()
    ids, mask = batch["input_ids"], batch["attention_mask"] if padded else torch.ones_like(batch["attention_mask"])
    ours, _ = encoder(ids, mask)
    seen = mask.bool().clone()
    seen[:, 0] = True
    filled = ids.masked_fill(~mask.bool(), encoder.padding)
    plain = encoder.backbone(input_ids=filled, attention_mask=seen.long()).last_hidden_state
    assert torch.equal(ours, blank(plain, mask.bool()))
