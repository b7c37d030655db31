"""Gathers what the card of an exported model says: the run's configuration, and its reports on these weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dual_hpc import __version__
from dual_hpc.config import RunConfig
from dual_hpc.errors import UserError
from dual_hpc.evaluation.prediction_file import ENDING, read_predictions
from dual_hpc.evaluation.temperature import confidence_in
from dual_hpc.files.json_text import parse_json
from dual_hpc.files.regular_file import read_bytes
from dual_hpc.model import EmotionModel
from dual_hpc.model.confidence import Confidence
from dual_hpc.run.directory import RunDir
from dual_hpc.run.names import step_folder
from dual_hpc.training.exporter import exported_confidence
from dual_hpc.training.model_card import CardFacts

_WEIGHTS = r"\({}(\.\d+)?\)$"  # at the end of a report's `checkpoint`


def card_facts(run: RunDir, model: EmotionModel, step: int) -> CardFacts:
    """Of the weights of one step of a run."""
    identity = run.identity()
    return CardFacts(
        name=identity.name,
        description=model.config.to_dict(),
        labels=model.config.labels,
        modalities=model.config.modalities,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        step=step,
        settings=_settings(run.config()),
        reports=list(_reports(run.reports, step, model.config.labels)),
        version=f"{__version__}, code {identity.code_version}",
    )


def _settings(config: RunConfig) -> dict[str, Any]:
    """What decides on which utterances it was trained; folders by their names alone, which tell nothing of the disk."""
    data = config.data
    by_shares = any(isinstance(parts, list | tuple) for parts in (data.split or {}).values())  # which has no folds
    return {
        "shards": [Path(folder).name for folder in data.shards],
        "protocol": Path(data.protocol).name,
        "test fold": None if by_shares else data.test_fold,
        "split": data.split,
        "classes": data.classes,
        "loss": config.model.loss,
        "epochs": config.training.epochs,
        "seed": config.seed,
    }


def _reports(folder: Path, step: int, labels: list[str]) -> Iterator[dict[str, Any]]:
    """The evaluations of the weights of this step; what else lies there, or cannot be read, is passed over."""
    wanted = re.compile(_WEIGHTS.format(step_folder(step)))
    for path in sorted(folder.glob("*.json")):
        try:
            found = parse_json(read_bytes(path))
        except (OSError, ValueError):
            continue
        about = found.get("about") if isinstance(found, dict) else None
        if not isinstance(about, dict) or not wanted.search(str(about.get("checkpoint"))):
            continue
        if found.get("classes") == labels and isinstance(found.get("subsets"), dict) and "baselines" in found:
            yield found


def confidence_of(run: RunDir, step: int, labels: list[str]) -> Confidence | None:
    """What `evaluate --split validation` of the weights of this step tells of their confidence, else what the training
    has measured itself of its best weights; None of weights that were never validated.
    """
    wanted = re.compile(_WEIGHTS.format(step_folder(step)))
    for path in sorted(run.reports.glob(f"validation_*{ENDING}")):
        try:
            found = read_predictions(path)
        except UserError:
            continue
        about = found.about
        if about.get("split") != "validation" or not wanted.search(str(about.get("checkpoint"))):
            continue
        if labels and list(found.classes) == labels:
            measured = confidence_in({subset: found.found[subset] for subset in found.subsets})
            if measured is not None:
                return measured
    return exported_confidence(run.exports, step)
