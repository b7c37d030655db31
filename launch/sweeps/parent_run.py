"""MLflow's own run of a sweep, which groups those of its members. MLflow may be away: then it is made later."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dual_hpc.config.schema import RunConfig
from dual_hpc.errors import reason_of
from dual_hpc.files.regular_file import read_text
from dual_hpc.run.journal import read
from launch.cluster.state import State
from launch.sweeps.grid import Member, SweepDir
from launch.sweeps.results import Row, experiments

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from dual_hpc.tracking.datasets import SplitData

PARENT_TAG = "mlflow.parentRunId"  # a member's: MLflow's id of the sweep's own run
SWEEP_TAG = "sweep"  # a member's: the name of the sweep
NOTE_TAG = "mlflow.note.content"
_NOTE = 7800  # characters; MLflow cuts a tag at 8000
_NAME_TAG, _FOLDER_TAG, _COUNT_TAG = "dual.sweep", "dual.sweep_dir", "dual.members"

log = logging.getLogger(__name__)


def make_parent_run(config: RunConfig, sweep: SweepDir) -> str | None:
    """Make the run of a new sweep, and return its id, which the members carry as a tag.

    Where MLflow cannot be reached, that is a warning and None: no submission waits for it.

    Raises:
        UserError: `tracking.*` is wrong.
    """
    from dual_hpc.errors import UserError
    from dual_hpc.tracking.mlflow_store import experiment_id, store_of

    store = store_of(config)
    try:
        with store.client() as client:
            return _create(client, experiment_id(client, store, config.tracking.experiment), sweep)
    except UserError:
        raise
    except Exception as error:  # whatever MLflow or the network raises
        again = f"`dual-hpc sweep --show {sweep.sweep.name}` groups them when MLflow answers"
        log.warning("MLflow cannot be reached, so its runs are not grouped: %s; %s", reason_of(error, 160), again)
        return None


def delete_parent_run(config: RunConfig, parent: str) -> None:
    """Delete MLflow's run of a sweep that was not submitted."""
    from dual_hpc.tracking.mlflow_store import store_of

    try:
        with store_of(config).client() as client:
            client.delete_run(parent)
    except Exception as error:  # the refusal that led here says more
        log.warning("MLflow's run %s of the sweep is left behind: %s", parent, reason_of(error, 160))


def log_to_mlflow(config: RunConfig, sweep: SweepDir, rows: Sequence[Row], files: Sequence[str]) -> None:
    """Bring the sweep's own run up to its members: settings, means, table, and its end when all have finished.

    A mean has the number of its experiment as step, in the order of the table: one curve per score compares them.

    Args:
        files: names in the sweep's folder, which are logged; tables in Markdown and figures are the description.

    Raises:
        Exception: whatever MLflow or the network raises.
    """
    from mlflow.entities import Metric, Param

    from dual_hpc.tracking.datasets import log_datasets
    from dual_hpc.tracking.mlflow_format import mlflow_name
    from dual_hpc.tracking.mlflow_store import experiment_id, store_of

    store = store_of(config)
    with store.client() as client:
        parent = config.tracking.tags.get(PARENT_TAG)
        parent = parent or _parent_of(client, experiment_id(client, store, config.tracking.experiment), sweep)
        there = client.get_run(parent)
        settings = {**common_settings(config, sweep), **varied_settings(sweep)}
        params = [Param(key, value) for key, value in settings.items() if key not in there.data.params]
        for start in range(0, len(params), 100):
            client.log_batch(parent, params=params[start : start + 100])
        metrics = [
            Metric(mlflow_name(f"{_plain(score)}/{suffix}"), value, number, number)
            for number, one in enumerate(experiments(rows))
            for score, statistic in one.scores.items()
            for suffix, value in (("mean", statistic.mean), ("std", statistic.std), ("runs", float(statistic.n)))
            if value is not None
        ]
        for start in range(0, len(metrics), 900):
            client.log_batch(parent, metrics=metrics[start : start + 900])
        log_datasets(client, there, _trained_on(sweep))
        for name in files:
            client.log_artifact(parent, str(sweep.path / name))
        note = there.data.tags.get(NOTE_TAG, "")
        if not note or note.startswith(f"# Sweep {sweep.sweep.name}"):  # not one that somebody has written
            client.set_tag(parent, NOTE_TAG, _description(sweep, parent, files))
        end = ended_ms(sweep) if all(row.state is State.FINISHED for row in rows) else None
        if end is not None:
            client.set_terminated(parent, "FINISHED", end_time=max(end, there.info.start_time))
        else:
            client.update_run(parent, "RUNNING")


def common_settings(config: RunConfig, sweep: SweepDir) -> dict[str, str]:
    """What all members share, as MLflow's parameters.

    Args:
        config: of one member.
    """
    from dual_hpc.credentials import without_secrets
    from dual_hpc.tracking.mlflow_format import flatten, mlflow_name

    varied = tuple(map(mlflow_name, _varied(sweep)))
    own = ("name", *varied, "tracking.tags")
    flat = flatten(config.model_dump(mode="json"))
    return {
        key: without_secrets(value)
        for key, value in flat.items()
        if not any(key == one or key.startswith(f"{one}.") for one in own)
    }


def varied_settings(sweep: SweepDir) -> dict[str, str]:
    """ "sweep.optim.lr" -> its values, as a parameter of the sweep's own run."""
    from dual_hpc.tracking.mlflow_format import mlflow_name

    values: dict[str, dict[str, None]] = {key: {} for key in _varied(sweep)}
    for member in sweep.sweep.members:
        for key, value in settings_of(member).items():
            values[key][value] = None
    return {mlflow_name(f"sweep.{key}"): ", ".join(found)[:6000] for key, found in values.items()}


def settings_of(member: Member) -> dict[str, str]:
    """What sets a member apart, by key."""
    pairs = (override.partition("=") for override in member.overrides)
    return {key.strip(): value.strip() for key, _, value in pairs}


def tags_of(member: Member) -> dict[str, str]:
    """What sets a member apart, as tags: columns of MLflow's list, in which the members can be compared."""
    from dual_hpc.tracking.mlflow_format import mlflow_name

    return {mlflow_name(f"sweep.{key}"): value for key, value in settings_of(member).items()}


def ended_ms(sweep: SweepDir) -> int | None:
    """When the last member ended, in Unix milliseconds; None where none has written its end."""
    ends = [segment.time for run in sweep.runs() for segment in run.segments() if segment.event == "end"]
    return int(max(ends) * 1000) if ends else None


def _trained_on(sweep: SweepDir) -> Iterator[SplitData]:
    """What its members have trained and validated on."""
    from dual_hpc.tracking.datasets import trained_on

    for run in sweep.runs():
        if run.identity_file.exists():
            data = run.config().data
            yield from trained_on(read(run.journal), data.protocol, data.shards)


def _varied(sweep: SweepDir) -> list[str]:
    return list(dict.fromkeys(key for member in sweep.sweep.members for key in settings_of(member)))


def _plain(score: str) -> str:
    return score.translate(str.maketrans("", "", "{},")).replace(" ", "_")


def _description(sweep: SweepDir, parent: str, files: Sequence[str]) -> str:
    """The figure, where the interface finds it, and the table, as far as there is room for it."""
    figures = [f"![{name}](get-artifact?path={name}&run_uuid={parent})" for name in files if name.endswith(".png")]
    tables = [read_text(sweep.path / name).partition("\n")[2] for name in files if name.endswith(".md")]
    text = "\n\n".join([f"# Sweep {sweep.sweep.name}", *figures, *(table.strip() for table in tables)]) + "\n"
    return (
        text
        if len(text) <= _NOTE
        else f"{text[:_NOTE].rpartition(chr(10))[0]}\n\n(cut; all of it is in the artifacts)\n"
    )


def _begun(sweep: SweepDir) -> str:
    """What is known of it before a member has a score; it begins as `_description`, which takes its place."""
    from dual_hpc.printable import markdown_cell

    name = sweep.sweep.name
    lines = [f"# Sweep {name}", "", f"{len(sweep.sweep.members)} members, which differ in", ""]
    lines += ["| setting | values |", "|---|---|"]
    lines += [f"| {markdown_cell(key)} | {markdown_cell(values)} |" for key, values in varied_settings(sweep).items()]
    lines += ["", f"`dual-hpc sweep --show {name}` brings the table of their scores and its figure here."]
    text = "\n".join(lines) + "\n"
    return text if len(text) <= _NOTE else f"{text[:_NOTE].rpartition(chr(10))[0]}\n"


def _parent_of(client: MlflowClient, experiment: str, sweep: SweepDir) -> str:
    """The run of a sweep that was submitted without MLflow, made now if need be; the members get their tag."""
    made = client.search_runs([experiment], f"tags.`{_FOLDER_TAG}` = '{sweep.path}'", max_results=1)
    parent = str(made[0].info.run_id) if made else _create(client, experiment, sweep)
    names = {member.name for member in sweep.sweep.members}
    for run in client.search_runs([experiment], f"tags.`{SWEEP_TAG}` = '{sweep.sweep.name}'"):
        if run.info.run_name in names and PARENT_TAG not in run.data.tags:
            client.set_tag(run.info.run_id, PARENT_TAG, parent)
    return parent


def _create(client: MlflowClient, experiment: str, sweep: SweepDir) -> str:
    from dual_hpc.tracking.mlflow_format import user_name

    name = sweep.sweep.name
    created = [run.identity().created for run in sweep.runs() if run.identity_file.exists()]
    start = int(min(created) * 1000) if created else None  # of a sweep that was submitted without MLflow
    source = {"mlflow.source.name": "dual-hpc", "mlflow.source.type": "JOB", "mlflow.user": user_name()}
    tags = {**source, _NAME_TAG: name, _FOLDER_TAG: str(sweep.path), _COUNT_TAG: str(len(sweep.sweep.members))}
    tags[NOTE_TAG] = _begun(sweep)
    made = str(client.create_run(experiment, start_time=start, run_name=name, tags=tags).info.run_id)
    for key, values in varied_settings(sweep).items():
        client.log_param(made, key, values)
    return made
