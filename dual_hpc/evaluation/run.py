"""Evaluate a saved model, or a run's exported one, on a split of its shards."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dual_hpc.config.schema import DataConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.features import feature_source
from dual_hpc.data.format.sample import Utterance
from dual_hpc.data.loader import EvalLoader
from dual_hpc.data.modality_mask import mask_except
from dual_hpc.data.sampling.permutation import Indices
from dual_hpc.errors import UserError
from dual_hpc.evaluation.controls import CONTROLS, mismatched
from dual_hpc.evaluation.perturbations import Context
from dual_hpc.evaluation.perturbations.recorded_noise import Recordings
from dual_hpc.evaluation.perturbations.suite import RobustnessSuite
from dual_hpc.evaluation.prediction_set import PredictionSet, RobustnessPlan, result_of
from dual_hpc.evaluation.predictions import View, predict_views
from dual_hpc.evaluation.protocols import PROTOCOLS, SPLITS, Protocol, get_protocol
from dual_hpc.evaluation.protocols.division import LEFT_OUT
from dual_hpc.evaluation.report_files import write_reports
from dual_hpc.evaluation.result import EvaluationResult
from dual_hpc.evaluation.selection import selection_of
from dual_hpc.model import EmotionConfig, load_model
from dual_hpc.model.arithmetic import arithmetic
from dual_hpc.model.family import FAMILIES
from dual_hpc.plugins import load_plugins
from dual_hpc.progress import ProgressDisplay
from dual_hpc.run.directory import RunDir

ALL_SUBSETS = ("a", "v", "t", "av", "at", "vt", "avt")
_BATCH = 8  # samples per forward pass where the training took as many as fit: an evaluation keeps no activations
_PREPROCESSING = ("image_size", "video_hz", "max_seconds", "max_tokens")


def evaluate_run(
    run_dir: str | Path,
    split: str = "test",
    checkpoint: str = "best",
    subsets: Sequence[str] = ("av", "avt"),
    device: str | None = None,
    robustness_seed: int | None = None,
    noise: Path | None = None,
    out: Path | None = None,
    trust: bool = False,
) -> EvaluationResult:
    """Evaluate a run's exported weights on its own shards and write `reports/SPLIT_CHECKPOINT.{json,md,png}`.

    Args:
        checkpoint: "best" (chosen on validation) or "last".
        robustness_seed, noise: as for `evaluate`; the suite's files are `reports/SPLIT_CHECKPOINT_robustness.*`.
        out: a folder for the report instead of the run's `reports/`.
        trust: take the plugins of the run's code archive though others own or may write it.

    Raises:
        UserError: no run, no such export, no such split, plugins of others.
    """
    run = RunDir.open(run_dir)
    config = run.config()
    load_plugins(config.plugins, run.code, trust)
    model_dir = run.exports / checkpoint
    there = sorted(path.name for path in run.exports.glob("*"))
    if checkpoint not in there or not (model_dir / "config.json").is_file():
        names = ", ".join(there) or "none yet"
        raise UserError(f"the run {run.path} has no exported weights {checkpoint!r}; there are: {names}")
    about = {
        "run": run.path.name,
        "checkpoint": f"{checkpoint} ({model_dir.resolve().name})",
        "seed": config.seed,
        "selection": selection_of(run, config, checkpoint),
    }
    result = evaluate(model_dir, config.data, split, subsets, device, about, robustness_seed, noise)
    write_reports(out or run.reports, f"{split}_{checkpoint}", result)
    return result


def evaluate(
    model_dir: str | Path,
    data: DataConfig,
    split: str = "test",
    subsets: Sequence[str] = ("av", "avt"),
    device: str | None = None,
    about: dict[str, Any] | None = None,
    robustness_seed: int | None = None,
    noise: Path | None = None,
) -> EvaluationResult:
    """Evaluate a saved model on a split of `data.shards`; every subset from the same weights.

    The data are read once. Preprocessing is the model's own. Baselines use the class counts of the split the model
    was trained on.

    Args:
        split: "train", "validation", "test", or "all" for every labelled utterance.
        subsets: strings of a, v and t.
        device: torch's name; None takes a GPU where there is one.
        robustness_seed: also run the robustness suite, whose random draws depend on this number.
        noise: a folder of recordings for that suite.

    Raises:
        UserError: not a saved model, other classes than the protocol's, unknown split or subset, nothing to evaluate.
    """
    for subset in subsets:
        if not subset or set(subset) - set("avt"):
            raise UserError(f"modalities {subset!r}: write a subset of a, v and t, such as av or avt")
    recordings = None if noise is None else Recordings(noise)
    model, tokenizer = load_model(model_dir)
    classes = model.config.labels
    shard_set = ShardDataset(data.shards)
    _check_kind(model.config, shard_set)
    utterances = shard_set.utterances
    protocol = _protocol(data.protocol, classes)
    numbers, labels, counts = _chosen(protocol, utterances, data, split)
    by_key = {one.key: one for one in (utterances[number] for number in numbers.tolist())}
    if len(by_key) != len(numbers):
        raise UserError("data.shards: two utterances have the same key; evaluate the folders one by one")

    prepared = data.model_copy(update={key: model.config.preprocessing[key] for key in _PREPROCESSING})
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    inputs = FAMILIES.get(model.config.model_type).inputs
    model.to(where)  # type: ignore[arg-type]  # transformers' wrapper hides torch's signature
    reads = model.config.modalities
    controls = {name: parts for name, parts in CONTROLS.items() if parts[1] in reads}
    suite = None
    if robustness_seed is not None:
        able = [letter for letter in reads if any(_has(meta, letter) for meta in by_key.values())]
        media = not model.config.reads_features
        suite = RobustnessSuite(able, media, Context(robustness_seed, tokenizer, prepared.max_tokens, recordings))
    views = {**_views(subsets, controls, reads), **(suite.views() if suite else {})}
    size = data.micro_batch or _BATCH
    loader = EvalLoader(shard_set, numbers, labels, prepared, tokenizer, 0, 1, size)
    try:
        with arithmetic():
            found = predict_views(model, _with_progress(loader, split), views, where, inputs=inputs)
    finally:
        loader.close()
    if not all(np.isfinite(one.probabilities).all() for one in found.values()):
        raise UserError(f"{model_dir}: the model's answers are not numbers (NaN); its training diverged")
    if not next(iter(found.values())).keys:
        raise UserError(f"data.shards: none of the {len(numbers)} utterances of the {split} split can be decoded")
    facts = {
        **(about or {"model": str(model_dir)}),
        "protocol": data.protocol,
        "split": split,
        "test_fold": data.test_fold if protocol.folds else None,
        "dataset": shard_set.dataset_id,
        "undecodable": len(loader.bad_samples),
        "left_out": _left_out(protocol, utterances),
        "reads": reads,
        **({} if noise is None else {"noise": str(noise)}),
        **({} if robustness_seed is None else {"robustness_seed": robustness_seed}),
    }
    return result_of(
        PredictionSet(
            facts,
            classes,
            model.config.class_counts or counts,
            by_key,
            found,
            list(dict.fromkeys(subsets)),
            {name: shown for name, (shown, _) in controls.items()},
            "t" in reads and any(_has(meta, "t") for meta in by_key.values()),
            None if suite is None or robustness_seed is None else RobustnessPlan(robustness_seed, suite.planned()),
        )
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


def _check_kind(config: EmotionConfig, shard_set: ShardDataset) -> None:
    """A model of media needs media, one of features the features it was trained on."""
    source = feature_source(shard_set)
    if (source is not None) != config.reads_features:
        has, needs = ("media", "features") if source is None else ("features", "media")
        raise UserError(f"data.shards: they hold {has}, this model was trained on {needs}; give shards of {needs}")
    if source is None:
        return
    for name in ("audio", "video", "text"):
        if getattr(config, f"use_{name}") and source.encoders.get(name) != getattr(config, name)["config"]:
            raise UserError(f"data.shards: their {name} features are not of the encoder that this model was trained on")
    for key in ("image_size", "video_hz", "max_tokens"):
        if (theirs := source.preprocessing[key]) != (ours := config.preprocessing[key]):
            raise UserError(f"data.shards: their features were made with {key}={theirs}, this model needs {ours}")


def _protocol(name: str, classes: Sequence[str]) -> Protocol:
    protocol = PROTOCOLS.get(name)
    if not protocol.classes:
        return protocol.with_classes(classes)
    if list(protocol.classes) != list(classes):
        raise UserError(
            f"data.protocol: {name} has the classes {', '.join(protocol.classes)}, the model {', '.join(classes)}; "
            "evaluate it under the protocol it was trained on, or data.protocol=all"
        )
    return protocol


def _left_out(protocol: Protocol, utterances: Sequence[Utterance]) -> str | None:
    """Labels that a model under protocol `all` does not know: a score over the others must say so."""
    if PROTOCOLS.get(protocol.name).classes:
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


def _with_progress(loader: EvalLoader, split: str) -> Iterator[Mapping[str, Any]]:
    """The loader's batches; a progress bar on a terminal."""
    with ProgressDisplay(f"evaluating {split}", len(loader), shown=sys.stderr.isatty()) as bar:
        for batch in loader:
            yield batch
            bar.advance(1)
