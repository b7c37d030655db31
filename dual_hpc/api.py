"""The five functions of `import dual_hpc`: what the commands of the same names do, for scripts and notebooks.

This module alone of `dual_hpc` reaches up, to `shards` for packing and to `launch` for training and for finding runs,
and only when such a function is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dual_hpc import config as _config

if TYPE_CHECKING:
    from dual_hpc.config.schema import RunConfig
    from dual_hpc.evaluation.result import EvaluationResult
    from dual_hpc.run.directory import RunDir
    from shards.options import PackOptions
    from shards.report import Report


def load_config(source: str | Path | None = None, overrides: Iterable[str] = ()) -> RunConfig:
    """The configuration of a preset or of a YAML file; without a source, the defaults.

    Example:
        >>> config = load_config("demo", ["training.epochs=3", "optim.lr=1e-3"])
        >>> config.training.epochs
        3

    Args:
        source: name of a preset (`demo`, `iemocap4` ...) or a `.yaml` file.
        overrides: `section.key=value`, applied in their order; `dual-hpc train --settings` lists all keys.

    Raises:
        UserError: unknown preset, unreadable file, unknown key (the nearest known key is named) or bad value.
    """
    return _config.load_config(source, overrides)


def pack(
    corpus: str,
    source: str | Path,
    out: str | Path,
    *,
    options: PackOptions | None = None,
    workers: int = 1,
    name: str | None = None,
    encoding: str | None = None,
    test_twins: str | None = None,
    listener: bool = False,
) -> Report:
    """Pack a raw corpus into a folder of shards; interrupted, the same call continues.

    Workers are processes that import the calling script, so a script calls this below `if __name__ == "__main__":`.

    Example:
        >>> report = pack("manifest", "clips.csv", "shards/clips", workers=4)  # doctest: +SKIP
        >>> report.packed, report.skipped  # doctest: +SKIP
        (120, [])

    Args:
        corpus: the reader: `iemocap`, `meld`, `manifest` (CSV or JSON lines), or one that a plugin registered.
        source: the corpus's folder, or the manifest.
        out: folder of the shards; made if it is absent.
        options: how media are stored (`shards.options.PackOptions`).
        workers: processes; the shards do not depend on their number.
        name: of a manifest's corpus; the file's name if None.
        encoding: of the annotation files; None: UTF-8, else a guess that the report tells.
        test_twins: of MELD's test rows with two recordings, `plain` (also if None) or `final`.
        listener: IEMOCAP: also the half of the picture that shows who listens, as a sample of its own.

    Returns:
        What was packed and what was left out, with reasons; `report.md` beside the shards says the same.

    Raises:
        UserError: source or options are wrong, or another packer works on `out`.
        EnvironmentFault: the disk is full or cannot be written, or workers are killed again and again.
    """
    from shards.packing import pack as pack_shards

    choices = {"encoding": encoding, "test_twins": test_twins, "listener": "yes" if listener else None}
    report = pack_shards(corpus, Path(source), Path(out), options, workers, progress=False, name=name, choices=choices)
    assert report is not None, "only a task of an array leaves the report to another"
    return report


def train(config: RunConfig, *, shards: Sequence[str | Path] = (), trust: bool = False) -> RunDir:
    """Train on this machine, wait for the end, and return the run; a finished run is returned at once.

    The ranks are processes of their own, as many as `launch.ranks_per_node`. Ctrl-C saves a checkpoint and stops, and
    the same call continues. Progress is shown on standard error.

    Example:
        >>> config = load_config("demo", ["name=first", "data.shards=[shards/clips]"])
        >>> run = train(config)  # doctest: +SKIP
        >>> run.exports / "best"  # doctest: +SKIP
        PosixPath('/home/me/store/runs/first/export/best')

    Args:
        config: as of `load_config`; it is not changed.
        shards: folders of shards that replace `data.shards`.
        trust: continue a run whose directory others own or may write, which runs what they put there.

    Raises:
        UserError: the configuration cannot be trained, or the store has another run of the same name, or one of others.
        EnvironmentFault: a rank failed; the message names it, what it said last and its log.
    """
    from launch.runs.follow import follow
    from launch.runs.plan import plan_config
    from launch.runs.submit import submit_here

    here = config.model_copy(deep=True)
    here.launch.profile = "local"
    plan = plan_config(here, [str(folder) for folder in shards])
    job = submit_here(plan, trust)
    run = plan.open()
    if job is not None:
        follow(run, job)
    return run


def evaluate(
    run: RunDir | str | Path,
    split: str = "test",
    *,
    checkpoint: str = "best",
    subsets: Sequence[str] = ("av", "avt"),
    device: str | None = None,
    robustness_seed: int | None = None,
    trust: bool = False,
) -> EvaluationResult:
    """Score a run's exported weights on its own shards, and write the report into its `reports/`.

    A saved model without its run is scored by `dual_hpc.evaluation.run.evaluate`.

    Example:
        >>> result = evaluate("first")  # doctest: +SKIP
        >>> result.subsets["av"].scores.values["ua"], result.baselines["majority"].ua  # doctest: +SKIP
        (0.61, 0.25)

    Args:
        run: a run, its folder, or its name in the default store.
        split: "train", "validation", "test", or "all" for every labelled utterance.
        checkpoint: "best" (chosen on the validation split) or "last".
        subsets: modalities to score, strings of a, v and t; all from the same weights.
        device: torch's name; None takes a GPU where there is one.
        robustness_seed: also run the robustness suite, drawn from this seed.
        trust: run the plugins that lie in the run's code archive though others own or may write it.

    Raises:
        UserError: no run, no such weights, split or subset, or plugins of others.
    """
    from dual_hpc.evaluation.run import evaluate_run
    from dual_hpc.run.directory import RunDir

    path = run.path if isinstance(run, RunDir) else open_run(run).path
    result = evaluate_run(path, split, checkpoint, subsets, device, robustness_seed, trust=trust)
    assert result is not None, "only one of several ranks leaves the report to another"
    return result


def open_run(run: str | Path, store: str | Path | None = None) -> RunDir:
    """An existing run, by its folder or by its name in a store.

    Example:
        >>> run = open_run("first")  # doctest: +SKIP
        >>> run.config().optim.lr, run.exports / "best", run.journal  # doctest: +SKIP

    Args:
        store: where a name is looked up; None: `DUAL_STORE`, else the default store.

    Raises:
        UserError: there is no such run.
    """
    from launch.runs.plan import find_run

    return find_run(str(run), None if store is None else str(store))
