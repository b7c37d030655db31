"""Other verbs as jobs: `dual-hpc submit ... -- pack iemocap RAW --out DIR`, as one task or an array of them."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dual_hpc.config import load_config
from dual_hpc.config.schema import RunConfig
from dual_hpc.data.format.feature_sets import sets_in
from dual_hpc.data.format.index import INDEX_NAME
from dual_hpc.errors import UserError
from dual_hpc.files.ownership import require_own
from dual_hpc.modality import Modality
from launch.cluster.code_archive import code_files, code_version, write_archive
from launch.cluster.profiles import Profile
from launch.cluster.request import check, check_array, cpus_per_rank
from launch.cluster.sbatch import sbatch_parameters
from launch.cluster.submission import submit_jobs
from launch.commands.job_dir import JobDescription, JobDir
from launch.runs.plan import check_encoders, check_store, check_store_path, find_run
from launch.runs.report_place import report_folder
from launch.sweeps.grid import SweepDir
from shards.corpora import CORPORA, FEATURES

# What a task calls with its folder, its number and its arguments; given by the caller, as verbs are in launch/cli.
Task = Callable[[str, int, list[str]], None]

PARALLEL_VERBS = ("pack", "extract", "evaluate")  # verbs whose tasks share the work: --array-index, --array-count
SUBMITTABLE = (*PARALLEL_VERBS, "sweep")


def check_command(words: Sequence[str], tasks: int, config: RunConfig, profile: Profile) -> None:
    """Refuse what could not work, before it waits in a queue.

    Raises:
        UserError: the verb, the number of tasks, the request or the profile is wrong.
    """
    if not words or words[0] not in SUBMITTABLE:
        raise UserError(
            f"after -- write one of {', '.join(SUBMITTABLE)} with its arguments, not {' '.join(words[:1])!r}"
        )
    if tasks < 1 or (tasks > 1 and words[0] not in PARALLEL_VERBS):
        least = "at least " if words[0] in PARALLEL_VERBS else ""
        raise UserError(f"--tasks={tasks}: {words[0]} takes {least}one task")
    if profile.executor == "local":
        raise UserError(f"launch.profile={profile.name}: on this machine run `dual-hpc {words[0]}` itself")
    if config.launch.nodes * config.launch.ranks_per_node > 1:
        more = "; use --tasks N for more" if words[0] in PARALLEL_VERBS else ""
        raise UserError(f"launch.nodes, launch.ranks_per_node: {words[0]} is one process{more}")
    check(config.launch, profile)
    check_array(tasks, config.launch, profile)
    check_store(Path(config.store).absolute())
    check_store_path(Path(config.store).absolute())
    code_files()


def check_work(verb: str, args: argparse.Namespace, store: Path) -> None:
    """Refuse a verb whose parsed arguments name what is not there.

    Raises:
        UserError: no such corpus, shards, model, run or sweep.
    """
    if verb == "pack":
        if args.corpus != FEATURES:
            CORPORA.check(args.corpus)
        if not args.source.exists():
            raise UserError(f"{args.source} does not exist")
    if verb == "extract":
        _check_shards([args.folder])
        _check_model(args.model)
        if args.preset is not None:
            _check_pretrained(load_config(args.preset, args.overrides))
    if verb == "evaluate":
        if (args.run_name is None) == (args.model is None):
            raise UserError("evaluate what? Name a RUN, or give --model DIR with --shards and --protocol")
        if args.run_name is not None:
            report_folder(find_run(args.run_name, args.store or str(store)), args.out)
        _check_model(args.model)
        _check_shards(args.shards)
    if verb == "sweep":
        if not args.evaluate:
            raise UserError("after --, sweep needs --evaluate NAME; `dual-hpc sweep` itself submits a new sweep")
        for run in SweepDir.open(Path(args.store) if args.store else store, args.evaluate).runs():
            report_folder(run)
    if verb in PARALLEL_VERBS:
        if args.out is not None:
            check_store(args.out.absolute())
        if (args.array_index, args.array_count) != (0, 1):
            raise UserError("--array-index, --array-count: submit gives each task its own; write --tasks N before --")


def plugins_of(verb: str, args: argparse.Namespace, store: Path) -> list[str]:
    """The plugins that a checked verb needs: those of its `--plugin`, and of the runs or the preset that it names."""
    configs: list[RunConfig] = []
    if verb == "extract" and args.preset is not None:
        configs = [load_config(args.preset, args.overrides)]
    if verb == "evaluate" and args.run_name is not None:
        configs = [find_run(args.run_name, args.store or str(store)).config()]
    if verb == "sweep":
        members = SweepDir.open(Path(args.store) if args.store else store, args.evaluate).runs()
        configs = [run.config() for run in members if run.config_file.exists()]
    named = [name for config in configs for name in config.plugins]
    return list(dict.fromkeys([*getattr(args, "plugin", []), *named]))


def _check_shards(folders: Sequence[str | Path]) -> None:
    for folder in folders:
        if not (Path(folder) / INDEX_NAME).is_file() and not sets_in(Path(folder)):
            raise UserError(f"{folder} holds no {INDEX_NAME}: it is not a folder of finished shards")


def _check_pretrained(config: RunConfig) -> None:
    check_encoders(config)
    for name in Modality:
        if getattr(config.model, f"use_{name}") and getattr(config.model, name).path is None:
            raise UserError(
                f"model.{name}.path is not set: only a pretrained encoder has something to extract; name its folder, "
                f"leave it out with model.use_{name}=false, or give a trained --model"
            )


def _check_model(folder: str | Path | None) -> None:
    if folder is not None and not (Path(folder) / "config.json").is_file():
        raise UserError(f"--model: {folder} holds no config.json: it is not a saved model")


def submit_command(
    work: Task,
    words: Sequence[str],
    tasks: int,
    config: RunConfig,
    profile: Profile,
    plugins: Sequence[str] = (),
    trust: bool = False,
) -> tuple[list[str], JobDir]:
    """Submit a checked command; each task works in this folder with this code.

    Args:
        plugins: modules whose source goes with the code; see `plugins_of`.
        trust: also where others can exchange what lies in the store.

    Returns:
        The job ids, and the folder of the job, with its logs.

    Raises:
        UserError: the store can be written by everybody.
        EnvironmentFault: Slurm refused the job; nothing is left of it.
    """
    store = Path(config.store).absolute()
    require_own(store / "jobs" / words[0], trust=trust)
    job = JobDir.make(store, words[0])
    try:
        write_archive(job.path, plugins=plugins)
        parameters = sbatch_parameters(profile, config.launch, job.path, sys.executable)
        del parameters["teardown"]  # nothing continues a command; its user submits it again
        cores = cpus_per_rank(config.launch, profile)
        calls = [(work, (str(job.path), task, task_words(words, task, tasks, cores))) for task in range(tasks)]
        job_ids = [one.job_id for one in submit_jobs(calls, job.path, parameters)]
    except BaseException:
        shutil.rmtree(job.path, ignore_errors=True)
        raise
    job.save(
        JobDescription(
            words=list(words),
            job_ids=job_ids,
            folder=os.getcwd(),
            profile=profile.name,
            request=config.launch,
            code_version=code_version(),
        )
    )
    return job_ids, job


def task_words(words: Sequence[str], task: int, tasks: int, cores: int) -> list[str]:
    """The command of one task; packing uses all its cores unless --workers is given."""
    share = [] if tasks == 1 else ["--array-index", str(task), "--array-count", str(tasks)]
    given = any(word.split("=")[0] == "--workers" for word in words)
    return [*words, *([] if given or words[0] != "pack" else ["--workers", str(cores)]), *share]
