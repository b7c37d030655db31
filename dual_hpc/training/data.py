"""What a run trains on: shards, protocol, split, tokenizer, loaders."""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dual_hpc.config import RunConfig
from dual_hpc.data.batch import SoftLabels
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.features import feature_source
from dual_hpc.data.format.sample import AUDIO_RATE
from dual_hpc.data.loader import EvalLoader, TrainLoader
from dual_hpc.data.sampling.batching import BatchPartition
from dual_hpc.data.sampling.permutation import Indices
from dual_hpc.errors import EnvironmentFault
from dual_hpc.evaluation.dimensions import dimension_targets, dimensions_by_key
from dual_hpc.evaluation.protocols import protocol_of
from dual_hpc.evaluation.selection import check_selecting, seen_modalities
from dual_hpc.evaluation.votes import soft_labels_of
from dual_hpc.group import gather_results
from dual_hpc.model import build_tokenizer, load_tokenizer
from dual_hpc.training.distributed import World
from dual_hpc.training.shard_config import config_for_shards, sets_of_config

log = logging.getLogger(__name__)


@dataclass
class TrainingData:
    """The training and the validation split of a run.

    Attributes:
        config: the run's; with feature shards, their encoders and preprocessing.
        labels: display names of the classes.
        class_counts: utterances per class in the training split.
        tokenizer: None if the model reads no words.
        test_fold: None where the protocol has no folds.
        soft_labels: distributions of the votes, or classes and dimensions, where the protocol trains on them.
        dimensions: learned beside the classes -> mean and standard deviation in the training split.
        validation_dimensions: key -> values of the validation split.
    """

    config: RunConfig
    world: World
    shard_set: ShardDataset
    labels: list[str]
    train: Indices
    train_labels: Indices
    validation: Indices
    validation_labels: Indices
    class_counts: list[int]
    tokenizer: Any
    test_fold: int | str | None = None
    soft_labels: SoftLabels | None = None
    dimensions: dict[str, list[float]] = field(default_factory=dict)
    validation_dimensions: dict[str, list[float | None]] = field(default_factory=dict)

    @classmethod
    def open(cls, config: RunConfig, world: World, tokenizer_dir: Path) -> TrainingData:
        """Read the indexes, split by the protocol, make or load the tokenizer. Collective.

        Raises:
            UserError: shards, protocol or tokenizer cannot be used.
        """
        shard_set = ShardDataset(config.data.shards, sets_of_config(config))
        config = config_for_shards(config, shard_set)
        utterances = shard_set.utterances
        protocol = protocol_of(config.data, utterances)
        split = protocol.divide(utterances, config.data)
        classes = protocol.class_numbers(utterances)
        train = protocol.repeated(utterances, split["train"])
        train_labels = classes[train]
        check_selecting(config.training.select_by, protocol)
        soft_labels, dimensions = None, dict[str, list[float]]()
        if protocol.dimensions:
            soft_labels, dimensions = dimension_targets(protocol, utterances, split["train"])
        elif protocol.soft:
            soft_labels = soft_labels_of(protocol, utterances, split["train"])
        return cls(
            config=config,
            world=world,
            shard_set=shard_set,
            labels=list(protocol.classes),
            train=train,
            train_labels=train_labels,
            validation=split["validation"],
            validation_labels=classes[split["validation"]],
            class_counts=np.bincount(train_labels, minlength=len(protocol.classes)).tolist(),
            tokenizer=_tokenizer(config, world, shard_set, split["train"], tokenizer_dir),
            test_fold=config.data.test_fold if protocol.folds else None,
            soft_labels=soft_labels,
            dimensions=dimensions,
            validation_dimensions=dimensions_by_key(protocol.dimensions, utterances, split["validation"]),
        )

    def facts(self) -> dict[str, Any]:
        """What the journal says of it: from there MLflow learns what a run was trained on."""
        splits = {"train": len(self.train), "validation": len(self.validation)}
        seen = seen_modalities(self.config, self.shard_set.utterances)
        return {"dataset": self.shard_set.dataset_id, "test_fold": self.test_fold, "splits": splits, "reads": seen}

    def preprocessing(self) -> dict[str, Any]:
        """The settings that a saved model needs to prepare its input as the training did."""
        data = self.config.data
        keys = ("image_size", "video_hz", "max_seconds", "max_tokens")
        return {"sample_rate": AUDIO_RATE, **{key: getattr(data, key) for key in keys}}

    def preparation(self) -> dict[str, Any] | None:
        """What packing did to each clip, for the saved model; None where the shards do not say."""
        found = self.shard_set.preparation
        if found is not None and found.mixed and self.world.rank == 0:
            log.warning(
                "data.shards: the folders were packed differently (%s); prediction will prepare clips as the first was",
                ", ".join(found.mixed),
            )
        return None if found is None else found.to_json()

    def feature_encoders(self) -> dict[str, Any] | None:
        """Which encoders made the features, for the saved model; None of media, and where the shards do not say."""
        source = feature_source(self.shard_set)
        return None if source is None else source.origin

    def micro_batches(self) -> int:
        """Micro-batches that every rank accumulates per optimizer step."""
        data = self.config.data
        return BatchPartition(data.global_batch, self.world.size, data.micro_batch).micro_batches

    def train_loader(self, state: dict[str, Any] | None) -> TrainLoader:
        """Batches after the position in `state` (None: from the start)."""
        config = self.config
        return TrainLoader(
            self.shard_set,
            self.train,
            self.train_labels,
            config.data,
            config.augment,
            self.tokenizer,
            config.seed,
            self.world.rank,
            self.world.size,
            state,
            self.world.device,
            self.soft_labels,
        )

    def validation_loader(self) -> EvalLoader:
        """The validation split, once per iteration."""
        data, world = self.config.data, self.world
        return EvalLoader(
            self.shard_set,
            self.validation,
            self.validation_labels,
            data,
            self.tokenizer,
            world.rank,
            world.size,
            data.micro_batch,
            world.device,
        )


def _tokenizer(config: RunConfig, world: World, shard_set: ShardDataset, train: Indices, folder: Path) -> Any:
    """Rank 0 makes it once per run, all ranks read the same files."""
    if not config.model.use_text or config.model.text.kind == "features":
        return None

    def attempt() -> Exception | None:
        if world.rank == 0 and not any(folder.glob("*.json")):
            try:
                path = config.model.text.path
                tokenizer = load_tokenizer(path) if path else build_tokenizer(shard_set.texts(train.tolist()))
                _save(tokenizer, folder)
            except Exception as error:  # returned, because the other ranks would wait
                return error
        return None

    failure = gather_results(world, attempt)[0]
    if failure is not None:
        raise failure
    return load_tokenizer(folder)


def _save(tokenizer: Any, folder: Path) -> None:
    """Write a tokenizer's files.

    Raises:
        EnvironmentFault: they cannot be written.
    """
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        tokenizer.save_pretrained(temporary)
        folder.mkdir(exist_ok=True)
        os.replace(temporary, folder)  # replaces the empty folder that `RunDir.create` made
    except Exception as error:
        if not isinstance(error, OSError) and type(error) is not Exception:  # what the library makes of a full disk
            raise
        raise EnvironmentFault(f"{folder} cannot be written: {error}") from error
