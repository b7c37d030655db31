"""Turn the command line of a sweep into planned runs, all of them checked; nothing is written."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from dual_hpc.config import ENVIRONMENT, RunConfig, load_config
from dual_hpc.errors import UserError
from dual_hpc.plugins import load_plugins
from launch.cluster.profiles import Profile, load_profile
from launch.cluster.request import check_array
from launch.cluster.slurm import Scheduler
from launch.cluster.state import State
from launch.records import submissions
from launch.runs.plan import PlannedRun, default_shards, folds_of, plan_resumption, plan_run, split_of
from launch.runs.status import run_statuses
from launch.sweeps.grid import FOLD, FoldsOf, Sweep, SweepDir, folder, grid, listed, members_of

_DECIDE_FOLDS = ("data.", "plugins", "preset")  # settings that may decide which folds there are


def plan_sweep(
    source: str | None, overrides: Sequence[str], shards: Sequence[str], axes: Sequence[str], members: Sequence[str]
) -> tuple[SweepDir, list[PlannedRun]]:
    """A new sweep and its runs.

    Args:
        source, overrides, shards: what all members share; see `plan_run`.
        axes: `KEY=A,B`, of a grid.
        members: `KEY=A KEY=B`, of a list.

    Raises:
        UserError: a member's configuration is wrong, two are the same, or a name exists already.
    """
    if source is None:
        raise UserError("nothing to train: give --preset NAME or --config FILE")
    if axes and members:
        raise UserError("--grid and --member do not go together")
    # Not planned as a run: what the members share may lack what each of them has, such as a protocol or a fold.
    config = load_config(source, overrides)
    name, launch = config.name, config.launch
    sweep = (
        grid(name, axes, folds_of_settings(source, overrides, shards)) if axes else listed(name, members_of(members))
    )
    check_array(len(sweep.members), launch, load_profile(launch.profile))  # before the work of planning them
    told = set[str]()
    plans = [
        plan_run(source, None, [*overrides, *member.overrides, f"name={member.name}"], shards, told)
        for member in sweep.members
    ]
    _check_different(sweep, plans)
    store = Path(plans[0].config.store)
    if any(override.startswith(f"{FOLD}=") for member in sweep.members for override in member.overrides):
        _check_folds(plan.config for plan in plans)
    if (folder(store, name) / "sweep.json").exists():
        raise UserError(
            f"name={name}: a sweep of this name exists in {store}; choose another name, or use --resubmit {name}"
        )
    existing = [plan.path for plan in plans if plan.path.exists()]
    if existing:
        raise UserError(f"name={name}: the run {existing[0]} already exists; choose another name")
    return SweepDir(folder(store, name), sweep), plans


def folds_of_settings(source: str, overrides: Sequence[str], shards: Sequence[str]) -> FoldsOf:
    """A member's own settings -> the folds that its protocol has on its shards.

    Args:
        source, overrides, shards: what all members share; see `plan_run`.
    """
    known: dict[tuple[str, ...], tuple[int | str, ...]] = {}

    def folds(own: Sequence[str]) -> tuple[int | str, ...]:
        decisive = tuple(one for one in own if one.strip().startswith(_DECIDE_FOLDS))
        if decisive not in known:
            config = load_config(source, [*overrides, *decisive])
            load_plugins(config.plugins)
            config.data.shards = list(shards) or config.data.shards or default_shards(config)
            known[decisive] = folds_of(config)
        return known[decisive]

    return folds


def idle_members(sweep: SweepDir) -> tuple[list[str], list[str]]:
    """The members that neither finished nor have a job, and those that wait or run.

    Raises:
        EnvironmentFault: Slurm, which knows of their jobs, does not answer.
    """
    runs = [run for run in sweep.runs() if run.identity_file.exists()]
    seen = run_statuses(runs, Scheduler(), time.time())
    both = list(zip((run.path.name for run in runs), seen, strict=True))
    idle = [name for name, one in both if one.state is not State.FINISHED and not one.active]
    return idle, [name for name, one in both if one.active]


def plan_again(
    sweep: SweepDir, names: Collection[str], overrides: Sequence[str]
) -> list[tuple[list[PlannedRun], Profile]]:
    """Members of a sweep as they were asked for last, those that never began as their configuration says.

    Returns:
        The members that ask for the same job on the same cluster together.

    Raises:
        UserError: an override is not one of `launch`.
    """
    arrays: dict[str, tuple[list[PlannedRun], Profile]] = {}
    for run in sweep.runs():
        if run.path.name not in names:
            continue
        if submissions.last_request(submissions.read(run.path)) is None:
            plan = plan_run(None, str(run.path), overrides)
            profile = load_profile(plan.config.launch.profile)
        else:
            plan, profile = plan_resumption(run, overrides)
        kind = plan.config.launch.model_dump_json() + profile.model_dump_json()
        arrays.setdefault(kind, ([], profile))[0].append(plan)
    return list(arrays.values())


def config_of(sweep: SweepDir) -> RunConfig | None:
    """The configuration of a member, as far as all share it; None if all their directories are gone."""
    there = (run for run in sweep.runs() if run.config_file.exists())
    return next((run.config() for run in there), None)


def _check_different(sweep: Sweep, plans: Sequence[PlannedRun]) -> None:
    seen: dict[str, str] = {}
    for member, plan in zip(sweep.members, plans, strict=True):
        content = plan.config.model_dump_json(exclude={"name", *ENVIRONMENT})
        if content in seen:
            raise UserError(f"two members of the sweep are the same: {seen[content]} and {' '.join(member.overrides)}")
        seen[content] = " ".join(member.overrides)


def _check_folds(configs: Iterable[RunConfig]) -> None:
    """Refuse folds that test nothing, and two folds of one protocol that test the same."""
    tests: dict[tuple[str, tuple[int, ...]], int | str] = {}
    for config in configs:
        fold = config.data.test_fold
        test = tuple(split_of(config)["test"])
        if not test:
            raise UserError(f"folds: no labelled utterance belongs to fold {fold}, so {FOLD}={fold} tests nothing")
        former = tests.setdefault((config.data.model_dump_json(exclude={"test_fold"}), test), fold)
        if former != fold:
            raise UserError(
                f"folds: {FOLD}={former} and {FOLD}={fold} test the same utterances: these shards bring their own "
                "split instead of sessions; use seeds"
            )
