"""Which run a command means: one from a configuration, or an existing one by name or folder."""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dual_hpc.config import is_prolonged, load_config, may_change, require_no_secret
from dual_hpc.config.identity import RAISABLE
from dual_hpc.config.paths import default_store, runs_dir, storable
from dual_hpc.config.schema import RunConfig
from dual_hpc.errors import UserError
from dual_hpc.model.names import check_names
from dual_hpc.plugins import load_plugins, plugin_hashes
from dual_hpc.run import names
from dual_hpc.run.directory import RunDir
from launch.cluster.code_archive import code_version
from launch.cluster.profiles import Profile, load_profile, profile_path
from launch.cluster.request import check
from launch.records import submissions
from launch.records.nearest import did_you_mean
from launch.runs.prolong import with_planned_decay

if TYPE_CHECKING:
    from dual_hpc.data.dataset import ShardDataset
    from dual_hpc.data.format.columns import Columns
    from dual_hpc.data.format.utterances import Utterances

log = logging.getLogger(__name__)

OWN_CONFIGURATION = (
    "a run continues with its own configuration; only launch.* and what does not change the results (checkpoint.*, "
    "data.workers, data.bad_sample_limit, training.log_every ...) can change, and training.epochs be raised"
)


@dataclass(frozen=True)
class PlannedRun:
    """A run that may or may not exist yet: planning writes nothing, so a refused request leaves nothing.

    Attributes:
        continues: the run was named as one that exists, so that its configuration may be a longer one's.
    """

    path: Path
    config: RunConfig
    continues: bool = False

    def open(self) -> RunDir:
        """Create the run directory, or open the one that exists."""
        fresh = not (self.path / "run.json").exists()
        return RunDir.create(
            self.path,
            self.config,
            code_version(),
            plugin_hashes(self.config.plugins) if fresh else None,
            may_be_longer=self.continues,
        )


def plan_run(
    source: str | None,
    run: str | None,
    overrides: Sequence[str],
    shards: Sequence[str] = (),
    told: set[str] | None = None,
) -> PlannedRun:
    """The run that a command line means.

    Args:
        source: preset name or YAML file.
        run: name of a run in the store, or its folder. Its saved configuration is used;
            only what does not change the results can be overridden.
        overrides: `section.key=value`.
        shards: folders that replace `data.shards`.
        told: see `plan_config`.

    Raises:
        UserError: the configuration is wrong, its data are missing or unusable, or there is no such run.
    """
    if run is not None:
        if shards:
            raise UserError(f"--shards: {OWN_CONFIGURATION}")
        existing = find_run(run)
        check_may_change(overrides, existing)
        config = load_config(existing.config_file, overrides)
        return PlannedRun(existing.path, with_planned_decay(existing, config), continues=True)
    if source is None:
        raise UserError("nothing to train: give --preset NAME, --config FILE or --run NAME")
    return plan_config(load_config(source, overrides), shards, told)


def plan_config(config: RunConfig, shards: Sequence[str] = (), told: set[str] | None = None) -> PlannedRun:
    """The run of a configuration, which stays as it is; the plan's has absolute paths.

    Args:
        shards: folders that replace `data.shards`.
        told: warnings that other runs of the same command gave, and that are not repeated; gets those of this one.

    Raises:
        UserError: its data are missing or unusable, its store cannot be written, or it holds a password.
    """
    require_no_secret(config)
    config = config.model_copy(deep=True)
    load_plugins(config.plugins)
    check_names(config.model)
    # The working directory of the job, or of the next command, is not this one.
    config.store = storable(str(Path(config.store).absolute()), "store")
    config.launch.profile = str(profile_path(config.launch.profile) or config.launch.profile)
    chosen = shards or config.data.shards or default_shards(config)
    config.data.shards = [storable(str(Path(folder).absolute()), "data.shards") for folder in chosen]
    check_store(Path(config.store))
    check_store_path(Path(config.store))
    # Before the data: a size that the cluster does not have may not divide the batch either.
    check(config.launch, load_profile(config.launch.profile))
    check_data(config, told)
    check_encoders(config)
    return PlannedRun(runs_dir(Path(config.store)) / config.name, config)


def plan_resumption(run: RunDir, overrides: Sequence[str]) -> tuple[PlannedRun, Profile]:
    """The run as its last job was asked for, with overrides, and the cluster of that job.

    Raises:
        UserError: an override would decide another result, or the run was never submitted.
    """
    check_may_change(overrides, run)
    asked = submissions.last_request(submissions.read(run.path))
    if asked is None:
        raise UserError(f"{run.path.name} was never submitted; use `dual-hpc submit --run {run.path.name}`")
    request, profile = asked
    # What the former job waited for is over.
    wanted = request.model_dump(mode="json", exclude={"after", "begin"})
    former = [f"launch.{key}={json.dumps(value)}" for key, value in wanted.items()]
    config = load_config(run.config_file, [*former, *overrides])
    # A profile that is named again is read again: its file may have changed.
    if any(override.partition("=")[0].strip() == "launch.profile" for override in overrides):
        config.launch.profile = str(profile_path(config.launch.profile) or config.launch.profile)
        profile = load_profile(config.launch.profile)
    return PlannedRun(run.path, with_planned_decay(run, config), continues=True), profile


def check_may_change(overrides: Sequence[str], run: RunDir) -> None:
    """Refuse overrides that would change the results of a run that has begun; what it has already may be repeated, and
    more epochs or steps may be given to it (`prolong.with_planned_decay`).

    Raises:
        UserError: names the first.
    """
    decisive = [override for override in overrides if not may_change(override.partition("=")[0].strip())]
    was = run.config()
    changed = {override: load_config(run.config_file, [override]) for override in decisive}
    refused = [one for one, config in changed.items() if config != was and not is_prolonged(was, config)]
    if refused and refused[0].partition("=")[0].strip() in RAISABLE:
        raise UserError(f"{refused[0]}: a run can be made longer, not shorter; stop it where it shall end")
    if refused:
        raise UserError(f"{refused[0]}: {OWN_CONFIGURATION}")


def find_run(name: str, store: str | None = None) -> RunDir:
    """A run by its folder, or by its name in a store (the default one if None)."""
    runs = runs_dir(Path(store) if store else default_store())
    for path in (Path(name), runs / name):
        if (path / names.IDENTITY).exists():
            return RunDir.open(path.absolute())
    meant = did_you_mean(name, [runs]) or "; `dual-hpc runs` lists them (DUAL_STORE names another store)"
    raise UserError(f"there is no run {name!r} in {runs}{meant}")


def default_shards(config: RunConfig) -> list[str]:
    """The store's own shards of the protocol's corpus, if they have been packed there."""
    from dual_hpc.evaluation.protocols import protocol_of

    corpus = protocol_of(config.data, ()).corpus
    folder = Path(config.store) / "shards" / (corpus or "")
    return [str(folder)] if corpus and (folder / "index.json").exists() else []


def check_store(store: Path) -> None:
    """Refuse a store that cannot be written, before anything is planned in it.

    Raises:
        UserError: it is not a folder, or this user may not write there.
    """
    place = next(folder for folder in (store, *store.parents) if os.path.exists(folder))
    if not place.is_dir():
        raise UserError(f"store: {place} is not a folder; set DUAL_STORE or store= to one you can write")
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(f"store: {place} cannot be written by you; set DUAL_STORE or store= to a folder that can")


def check_store_path(store: Path) -> None:
    """Refuse a store whose path holds characters that Slurm and submitit, which write logs there, would replace.

    Raises:
        UserError: see above.
    """
    if any(sign in str(store) for sign in "%\\\n"):
        raise UserError(f"store: {str(store)!r} holds a %, a backslash or a line break; set DUAL_STORE or store=")


def check_data(config: RunConfig, told: set[str] | None = None) -> None:
    """Refuse data that training would refuse, before a job waits in a queue for it; see `plan_config`."""
    from dual_hpc.data.sampling.batching import BatchPartition
    from dual_hpc.evaluation.metrics import selecting_metric
    from dual_hpc.evaluation.protocols import protocol_of
    from dual_hpc.evaluation.selection import check_selecting
    from dual_hpc.evaluation.trainable import check_trainable
    from dual_hpc.tracking.journal_readers import missing_readers

    selecting_metric(config.training.select_by)
    utterances = utterances_of(config)
    _check_features(config)
    protocol = protocol_of(config.data, utterances)
    check_selecting(config.training.select_by, protocol)
    parts = protocol.divide(utterances, config.data)
    own = bool(config.data.protocol_definition) and not config.data.classes
    known = set[str]() if told is None else told
    lines = [*protocol.told(utterances, config.data), *check_trainable(protocol, utterances, parts, own)]
    for line in [*lines, *missing_readers(config.tracking.also)]:
        if line not in known:
            log.warning(line)
            known.add(line)
    ranks = config.launch.nodes * config.launch.ranks_per_node
    BatchPartition(config.data.global_batch, ranks, config.data.micro_batch or 1)  # `auto` is not known yet


def split_of(config: RunConfig) -> dict[str, list[int]]:
    """The positions of the utterances that train, validate and test.

    Raises:
        UserError: there are no shards, or the protocol cannot split them.
    """
    from dual_hpc.evaluation.protocols import protocol_of

    utterances = utterances_of(config)
    return protocol_of(config.data, utterances).split(utterances, config.data)


def utterances_of(config: RunConfig) -> Utterances:
    """Metadata of every sample of the run's shards, in their order.

    Raises:
        UserError: there are none.
    """
    if not config.data.shards:
        raise UserError("data.shards is empty: name folders of packed shards, e.g. --shards shards/iemocap")
    from dual_hpc.data.format.utterances import Utterances

    folders = config.data.shards
    if _are_sets(config):
        folders = list(map(str, _opened(config).folders))
    utterances = Utterances([_columns(folder, _stamp(folder)) for folder in folders])
    if not utterances:
        raise UserError(f"data.shards: {', '.join(config.data.shards)} hold no samples")
    return utterances


def folds_of(config: RunConfig) -> tuple[int | str, ...]:
    """The values of `data.test_fold` that the protocol has on the run's shards.

    Raises:
        UserError: there are no shards, or they cannot be divided.
    """
    from dual_hpc.evaluation.protocols import protocol_of

    utterances = utterances_of(config)
    protocol = protocol_of(config.data, utterances)
    if not protocol.folds:
        protocol.divide(utterances, config.data)  # which says why, where there should be some
    return protocol.folds


def _stamp(folder: str) -> tuple[int, int]:
    """Changes with the index of a folder of shards."""
    try:
        found = (Path(folder) / "index.json").stat()
    except (OSError, ValueError):
        return 0, 0
    return found.st_mtime_ns, found.st_size


@functools.lru_cache(maxsize=8)
def _columns(folder: str, stamp: tuple[int, int]) -> Columns:
    """What a folder of shards holds, read once for all members of a sweep."""
    from dual_hpc.data.format.columns_cache import open_columns

    return open_columns(Path(folder))


def _check_features(config: RunConfig) -> None:
    """Refuse folders that no training can read together, and sets of features without what the run reads."""
    from dual_hpc.data.features import feature_source
    from dual_hpc.training.shard_config import config_for_shards

    if _are_sets(config) or any(getattr(config.model, name).features for name in ("audio", "video", "text")):
        config_for_shards(config, _opened(config))
    elif len(config.data.shards) > 1:
        feature_source(_opened(config))


def _are_sets(config: RunConfig) -> bool:
    from dual_hpc.data.format.feature_sets import sets_in

    return any(sets_in(Path(folder)) for folder in config.data.shards)


def _opened(config: RunConfig) -> ShardDataset:
    from dual_hpc.training.shard_config import sets_of_config

    choice = sets_of_config(config) if _are_sets(config) else {}
    chosen = tuple((name, None if words is None else tuple(words)) for name, words in choice.items())
    return _dataset(tuple(config.data.shards), tuple(map(_stamp, config.data.shards)), chosen)


@functools.lru_cache(maxsize=8)
def _dataset(
    folders: tuple[str, ...], stamps: tuple[tuple[int, int], ...], choice: tuple[tuple[str, Any], ...]
) -> ShardDataset:
    """All folders as one, opened once for all members of a sweep."""
    from dual_hpc.data.dataset import ShardDataset

    return ShardDataset(folders, dict(choice))


def check_encoders(config: RunConfig) -> None:
    """Refuse pretrained encoders that are not there, and make their paths absolute: a job runs in another folder."""
    for name in ("audio", "video", "text"):
        encoder = getattr(config.model, name)
        if encoder.path is None or not getattr(config.model, f"use_{name}"):
            continue
        if not (Path(encoder.path) / "config.json").is_file():
            lack = "holds no config.json" if Path(encoder.path).is_dir() else "is not a folder"
            raise UserError(
                f"model.{name}.path: {encoder.path} {lack}; put the pretrained {encoder.kind} there "
                "(config.json and weights), name another folder, or take the small encoders of the preset demo"
            )
        encoder.path = str(Path(encoder.path).absolute())
