"""What an evaluation of a saved model consists of: its utterances, its conditions, and the model that answers."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dual_hpc.config.schema import DataConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.features import check_readable, sets_of_model
from dual_hpc.data.format.sample import Utterance
from dual_hpc.data.loader import EvalLoader
from dual_hpc.data.modality_mask import mask_except
from dual_hpc.data.preparation.record import KEY, of_model
from dual_hpc.data.sampling.permutation import Indices
from dual_hpc.errors import UserError
from dual_hpc.evaluation.controls import CONTROLS, mismatched
from dual_hpc.evaluation.dimensions import dimensions_by_key
from dual_hpc.evaluation.finished_batches import FinishedBatch, clipped_of, fingerprint_of, predictions_of
from dual_hpc.evaluation.perturbations import Context
from dual_hpc.evaluation.perturbations.recorded_noise import Recordings
from dual_hpc.evaluation.perturbations.suite import RobustnessSuite
from dual_hpc.evaluation.prediction_set import PredictionSet, RobustnessPlan
from dual_hpc.evaluation.predictions import View
from dual_hpc.evaluation.protocols import PROTOCOLS, SPLITS, Protocol, get_protocol, protocol_of
from dual_hpc.evaluation.protocols.division import LEFT_OUT
from dual_hpc.evaluation.result import present_in
from dual_hpc.evaluation.votes import votes_by_key
from dual_hpc.model import EmotionConfig, load_model
from dual_hpc.model.family import FAMILIES
from dual_hpc.model.with_encoders import WithEncoders, with_encoders

log = logging.getLogger(__name__)

_BATCH = 8  # samples per forward pass where the training took as many as fit: an evaluation keeps no activations
_PREPROCESSING = ("image_size", "video_hz", "max_seconds", "max_tokens")


@dataclass(frozen=True)
class EvaluationTask:
    """Everything that is fixed before the first forward pass.

    Attributes:
        data: with the model's own preprocessing.
        numbers, labels: of the utterances, in the data set.
        views: condition -> what the model is shown of a batch.
        controls: of the conditions, the controls -> the subset that was shown.
        utterances: metadata by key.
        facts: about the evaluation, for its report.
        votes: key -> the share of each class in the raters' votes, where they are known.
        dimensions: key -> the corpus's values of the model's dimensions, where they are known.
    """

    model_dir: Path
    model: Any
    tokenizer: Any
    device: torch.device
    dataset: ShardDataset
    data: DataConfig
    numbers: Indices
    labels: Indices
    class_counts: Sequence[int]
    utterances: Mapping[str, Utterance]
    subsets: Sequence[str]
    views: Mapping[str, View]
    controls: Mapping[str, str]
    suite: RobustnessSuite | None
    seed: int | None
    facts: Mapping[str, Any]
    votes: Mapping[str, Sequence[float]]
    dimensions: Mapping[str, Sequence[float | None]]

    @property
    def batch_size(self) -> int:
        return self.data.micro_batch or _BATCH

    @property
    def batches(self) -> int:
        """How many batches the utterances make, on any number of ranks."""
        return -(-len(self.numbers) // self.batch_size)

    @property
    def inputs(self) -> Sequence[str]:
        """Names of the tensors that the model reads."""
        if isinstance(self.model, WithEncoders):
            return self.model.inputs
        return FAMILIES.get(self.model.config.model_type).inputs

    @property
    def fingerprint(self) -> str:
        """The same for the same weights, utterances, conditions and code."""
        asked = [list(self.subsets), list(self.views), self.seed, self.facts, self.batch_size]
        return fingerprint_of(
            self.model_dir, *asked, self.numbers.tolist(), self.labels.tolist(), list(self.class_counts)
        )

    def loader(self, only: Collection[int]) -> EvalLoader:
        """The batches of these numbers."""
        arguments = (self.dataset, self.numbers, self.labels, self.data, self.tokenizer, 0, 1, self.batch_size)
        return EvalLoader(*arguments, only=only)

    def predictions(self, batches: Sequence[FinishedBatch]) -> PredictionSet:
        """The predictions of all batches."""
        suite, seed = self.suite, self.seed
        plan = None
        if suite is not None and seed is not None:
            plan = RobustnessPlan(seed, suite.planned(clipped_of(batches)), suite.subsets)
        return PredictionSet(
            {
                **self.facts,
                "undecodable": sum(one.undecodable for one in batches),
                **present_in(self.utterances.values()),
            },
            self.model.config.labels,
            self.class_counts,
            self.utterances,
            predictions_of(batches, self.views),
            self.subsets,
            self.controls,
            "t" in self.facts["reads"] and any(meta.has_text for meta in self.utterances.values()),
            plan,
            self.fingerprint,
            self.votes,
            tuple(self.model.config.dimensions),
            self.dimensions,
        )


def prepare(
    model_dir: str | Path,
    data: DataConfig,
    split: str,
    subsets: Sequence[str],
    device: str | None,
    about: Mapping[str, Any] | None,
    robustness_seed: int | None,
    noise: Path | None,
) -> EvaluationTask:
    """Load the model and find its utterances; arguments and errors as for `dual_hpc.evaluation.run.evaluate`."""
    for subset in subsets:
        if not subset or set(subset) - set("avt"):
            raise UserError(f"modalities {subset!r}: write a subset of a, v and t, such as av or avt")
    recordings = None if noise is None else Recordings(noise)
    model: Any
    model, tokenizer = load_model(model_dir)
    classes = model.config.labels
    shard_set = ShardDataset(data.shards, sets_of_model(model.config))
    check_readable(model.config, shard_set)
    made_by = model.config.preprocessing
    if model.config.reads_features and shard_set.kind == "media":
        model = with_encoders(model, model_dir)
        tokenizer, made_by = model.tokenizer, model.preprocessing
    utterances = shard_set.utterances
    protocol = _protocol(data, utterances, classes)
    numbers, labels, counts = _chosen(protocol, utterances, data, split)
    by_key = {one.key: one for one in (utterances[number] for number in numbers.tolist())}
    if len(by_key) != len(numbers):
        raise UserError("data.shards: two utterances have the same key; evaluate the folders one by one")

    prepared = data.model_copy(update={key: made_by[key] for key in _PREPROCESSING})
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    torch.nn.Module.to(model, where)
    reads = model.config.modalities
    controls = {name: parts for name, parts in CONTROLS.items() if parts[1] in reads}
    suite = None
    if robustness_seed is not None:
        able = [letter for letter in reads if any(_has(meta, letter) for meta in by_key.values())]
        media = shard_set.kind == "media"
        suite = RobustnessSuite(able, media, Context(robustness_seed, tokenizer, prepared.max_tokens, recordings))
    facts = {
        **(about or {"model": str(model_dir)}),
        "protocol": data.protocol,
        "split": split,
        "test_fold": data.test_fold if protocol.folds else None,
        **({"divided": _divided(data)} if data.split else {}),
        **({"class_map": _class_map(data)} if data.classes else {}),
        **({"shared": "; ".join(told)} if split in SPLITS and (told := protocol.told(utterances, data)) else {}),
        "dataset": shard_set.dataset_id,
        "undecodable": 0,
        "left_out": _left_out(protocol, utterances),
        **synthetic_dials(shard_set),
        **packed_differently(model.config, shard_set),
        "reads": reads,
        **({} if noise is None else {"noise": str(noise)}),
        **({} if robustness_seed is None else {"robustness_seed": robustness_seed}),
    }
    return EvaluationTask(
        Path(model_dir),
        model,
        tokenizer,
        where,
        shard_set,
        prepared,
        numbers,
        labels,
        model.config.class_counts or counts,
        by_key,
        list(dict.fromkeys(subsets)),
        {**_views(subsets, controls, reads), **(suite.views() if suite else {})},
        {name: shown for name, (shown, _) in controls.items()},
        suite,
        robustness_seed,
        facts,
        votes_by_key(protocol, utterances, numbers),
        dimensions_by_key(tuple(model.config.dimensions), utterances, numbers),
    )


def _has(meta: Utterance, letter: str) -> bool:
    return {"a": meta.has_audio, "v": meta.has_video, "t": meta.has_text}[letter]


def _views(subsets: Sequence[str], controls: Mapping[str, tuple[str, str]], reads: str) -> dict[str, View]:
    """All views of one pass over the data: the subsets, text alone, and what the controls compare."""
    wanted = [*subsets, *(["t"] if "t" in reads else []), *(shown for shown, _ in controls.values())]
    views: dict[str, View] = {subset: partial(mask_except, subset=subset) for subset in wanted}
    for name, (shown, swapped) in controls.items():
        views[name] = partial(mismatched, modalities=shown, swapped=swapped)
    return views


def _protocol(data: DataConfig, utterances: Sequence[Utterance], classes: Sequence[str]) -> Protocol:
    protocol = protocol_of(data, utterances, classes)
    if list(protocol.classes) != list(classes):
        setting = "data.classes" if data.classes else "data.protocol"
        raise UserError(
            f"{setting}: {data.protocol} has the classes {', '.join(protocol.classes)}, the model "
            f"{', '.join(classes)}; evaluate it under the protocol it was trained on, or data.protocol=all"
        )
    return protocol


def _divided(data: DataConfig) -> str:
    """`data.split` in a few words: "speaker: 0.7, 0.15, 0.15"."""
    shown = {key: ", ".join(map(str, how)) if isinstance(how, list) else how for key, how in data.split.items()}
    return "; ".join(f"{key}: {how}" for key, how in shown.items())


def _class_map(data: DataConfig) -> str:
    return "; ".join(f"{name}: {', '.join(labels)}" for name, labels in data.classes.items())


def synthetic_dials(shard_set: ShardDataset) -> dict[str, str]:
    """What text, voice and face know in a synthetic corpus, where its dials were turned, for the report's `about`."""
    found = dict.fromkeys(told["synthetic"] for told in shard_set.options if "synthetic" in told)
    return {"synthetic": "; ".join(found)} if found else {}


def packed_differently(config: EmotionConfig, shard_set: ShardDataset) -> dict[str, str]:
    """What packing did to these clips and not to those that the model was trained on, for the report's `about`."""
    ours, theirs = of_model(getattr(config, KEY, None), config.name_or_path), shard_set.preparation
    if ours is None or theirs is None or not (found := ours.differences(theirs)):
        return {}
    said = "; ".join(f"{name}: {getattr(theirs, name)} here, {getattr(ours, name)} in training" for name in found)
    log.warning("data.shards: packed otherwise than what the model was trained on (%s)", said)
    return {"packed differently": said}


def _left_out(protocol: Protocol, utterances: Sequence[Utterance]) -> str | None:
    """Labels that a model under protocol `all` does not know: a score over the others must say so."""
    if (
        protocol.name not in PROTOCOLS
        or PROTOCOLS.get(protocol.name).classes
        or set(protocol.label_map) != set(protocol.classes)
    ):
        return None
    unknown = set(get_protocol(protocol.name, utterances).classes) - set(protocol.classes)
    return "labels " + ", ".join(sorted(unknown)) if unknown else None


def _chosen(
    protocol: Protocol, utterances: Sequence[Utterance], data: DataConfig, split: str
) -> tuple[Indices, Indices, list[int]]:
    """Numbers to evaluate, their classes, and class counts to compare with."""
    classes = protocol.class_numbers(utterances)
    if split == "all":
        numbers = pool = np.flatnonzero(classes != LEFT_OUT)
    elif split in SPLITS:
        parts = protocol.divide(utterances, data)
        numbers, pool = parts[split], parts["train"]
    else:
        raise UserError(f"split {split!r} is unknown: use one of {', '.join([*SPLITS, 'all'])}")
    if not len(numbers):
        raise UserError(f"data.shards: no labelled utterance is in the {split} split (data.protocol={data.protocol})")
    return numbers, classes[numbers], np.bincount(classes[pool], minlength=len(protocol.classes)).tolist()
