"""`data.micro_batch: auto`: tried with a real model, on a device whose memory is pretended; agreed and remembered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dual_hpc.config import RunConfig, load_config, validate
from dual_hpc.config.schema import ModelConfig
from dual_hpc.data.sampling.batching import BatchPartition
from dual_hpc.errors import UserError
from dual_hpc.group import SingleProcess
from dual_hpc.model import build_model, build_tokenizer
from dual_hpc.training.longest_batch import longest_batch
from dual_hpc.training.micro_batch import largest_that_fits, training_bytes, with_micro_batch
from tests.unit.model.conftest import COUNTS, ENCODERS, LABELS, PREPROCESSING, TEXTS

T = TypeVar("T")


class Pretended:
    """The bytes that the forward pass keeps, of a budget."""

    device = torch.device("cpu")

    def __init__(self, budget: int, kind: str = "a GPU of 1 GB") -> None:
        self.budget, self.kind = budget, kind
        self.peaks: list[int] = []

    def peak(self, work: Callable[[], None]) -> int | None:
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            work()
        self.peaks.append(sum(kept.values()))
        return None if self.peaks[-1] > self.budget else self.peaks[-1]


class TwoRanks(SingleProcess):
    """This rank, and another that answers the same, but for numbers: those it takes from `other`."""

    size = 2

    def __init__(self, other: int) -> None:
        self.other = other

    def all_gather(self, value: T) -> list[T]:
        if isinstance(value, tuple):  # of `gather_results`: done, result, beats
            return [value, (True, self.other, 0)]  # type: ignore[list-item]
        return [value, value]


def make(encoders: str = "light") -> Any:
    torch.manual_seed(0)
    tree = {"hidden_size": 16, "residual_layers": 1, "decoder_layers": 1, "num_heads": 2, **ENCODERS[encoders]}
    return build_model(ModelConfig.model_validate(tree), LABELS, PREPROCESSING, COUNTS, build_tokenizer(TEXTS))


def auto(**training: object) -> RunConfig:
    return validate({"data": {"micro_batch": "auto", "global_batch": 16}, "training": training})


@pytest.mark.parametrize("encoders", sorted(ENCODERS))
def test_the_longest_batch_trains_every_parameter(encoders: str) -> None:
    model = make(encoders).train()
    model(**longest_batch(model, 2)).loss.backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_the_longest_batch_of_features_has_all_layers_of_all_encoders() -> None:
    parts = [{"width": 6, "encoder": "a", "layers": 3}, {"width": 2, "encoder": "b", "layers": 2}]
    stored = {"width": 8, "rate_hz": 50.0, "encoder": "a + b", "parts": parts}
    tree = {**ENCODERS["features"], "audio": {"kind": "features", "config": stored}, "hidden_size": 16, "num_heads": 2}
    model = build_model(ModelConfig.model_validate(tree), LABELS, PREPROCESSING, COUNTS, None).train()
    model(**longest_batch(model, 2)).loss.backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@given(sizes=st.lists(st.integers(1, 500), min_size=1, unique=True).map(sorted), limit=st.integers(0, 600))
def test_the_largest_size_that_fits_is_found(sizes: list[int], limit: int) -> None:
    assert largest_that_fits(sizes, lambda size: size <= limit) == max([s for s in sizes if s <= limit], default=0)


def test_more_memory_takes_more_samples_and_all_of_it_a_ranks_share(tmp_path: Path) -> None:
    model, found = make(), []
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for megabytes in (20, 60, 1000):
        memory = Pretended(megabytes * 10**6)
        config = with_micro_batch(auto(), model, tmp_path / f"{megabytes}.jsonl", SingleProcess(), memory)
        found.append(config.data.micro_batch)
    assert found == sorted(found) and 0 < found[0] < found[-1] == 16
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None and p.dtype == torch.float32 for p in model.parameters())


def test_what_is_computed_again_is_tried_so(tmp_path: Path) -> None:
    plain, again = Pretended(10**9), Pretended(10**9)
    for what, memory in (("none", plain), ("all", again)):
        settings = auto(activation_checkpointing=what)
        with_micro_batch(settings, make(), tmp_path / f"{what}.jsonl", SingleProcess(), memory)
    assert len(plain.peaks) == len(again.peaks)
    assert all(less < more for less, more in zip(again.peaks, plain.peaks, strict=True))


def test_ranks_take_the_smallest_of_their_answers(tmp_path: Path) -> None:
    found = with_micro_batch(auto(), make(), tmp_path / "m.jsonl", TwoRanks(other=2), Pretended(10**9))
    assert found.data.micro_batch == 2


def test_a_job_on_the_like_takes_the_same_number_and_one_on_another_device_tries_again(tmp_path: Path) -> None:
    file, large, small = tmp_path / "micro_batch.jsonl", Pretended(10**9), Pretended(25 * 10**6, "a smaller GPU")
    group = SingleProcess()
    first = with_micro_batch(auto(), make(), file, group, large)
    tries = len(large.peaks)
    large.budget = 0
    assert with_micro_batch(auto(), make(), file, group, large) == first
    assert len(large.peaks) == tries
    other = with_micro_batch(auto(), make(), file, group, small)
    assert other.data.micro_batch < first.data.micro_batch
    assert with_micro_batch(auto(), make(), file, group, large) == first
    for config in (first, other):  # the same samples make a step, whatever the number
        partition = BatchPartition(config.data.global_batch, 1, config.data.micro_batch)
        assert sorted(p for part in partition.positions(32, 0) for p in part.tolist()) == list(range(32, 48))


def test_a_number_is_taken_as_it_is_and_nothing_written(tmp_path: Path) -> None:
    config = validate({"data": {"micro_batch": 3}})
    assert with_micro_batch(config, make(), tmp_path / "m.jsonl", SingleProcess(), None) is config
    assert not list(tmp_path.iterdir())


def test_a_cpu_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^data\.micro_batch=auto: .* this device is a CPU; give a number"):
        with_micro_batch(auto(), make(), tmp_path / "m.jsonl", SingleProcess(), None)


def test_no_room_for_one_sample_is_the_users_to_change(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^data\.micro_batch=auto: not even one sample"):
        with_micro_batch(auto(), make(), tmp_path / "m.jsonl", SingleProcess(), Pretended(1000))


@pytest.mark.parametrize(
    ("training", "ranks", "bytes_per_parameter"),
    [
        ({"precision": "bf16", "zero_stage": 0}, 4, 16),  # moments, float32 weights and sums
        ({"precision": "bf16", "zero_stage": 1}, 4, 4 + 12 / 4),
        ({"precision": "bf16", "zero_stage": 2}, 4, 16 / 4),
        ({"precision": "bf16", "zero_stage": 1, "gradient_dtype": "same"}, 4, 12 / 4),
        ({"precision": "fp32", "zero_stage": 0}, 4, 8),
    ],
)
def test_what_deepspeed_keeps_is_counted(training: dict[str, Any], ranks: int, bytes_per_parameter: float) -> None:
    trainable = 80_000_000
    buckets = 2 * 4 * trainable // 8
    assert training_bytes(trainable, ranks, auto(**training)) - buckets == trainable * bytes_per_parameter


def test_the_setting_is_written_as_it_was_said(tmp_path: Path) -> None:
    config = load_config("demo", ["data.micro_batch=auto"])
    assert config.model_dump(mode="json")["data"]["micro_batch"] == "auto"
    assert validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", "true"])
def test_other_words_are_refused(value: str) -> None:
    with pytest.raises(UserError, match=r"data\.micro_batch"):
        load_config("demo", [f"data.micro_batch={value}"])
