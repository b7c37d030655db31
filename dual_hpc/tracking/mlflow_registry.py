"""An exported model in MLflow's registry: a version with the report as description, and two aliases.

`candidate` is the version that was registered last. `best` is the one with the best score on validation, by which its
run has chosen it as well; scores on other data cannot be compared, and leave `best` where it is. No alias is moved by a
score on the test split.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dual_hpc.config import RunConfig
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.files.regular_file import read_text
from dual_hpc.printable import markdown_cell, printable
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import Entry, read
from dual_hpc.tracking.mlflow_exports import EXPORT_TAG
from dual_hpc.tracking.mlflow_model import models_of
from dual_hpc.tracking.mlflow_store import store_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

BEST, CANDIDATE = "best", "candidate"
SCORE_TAG, MEASURED_TAG = "dual.score", "dual.measured"
MODEL_TAG = "dual.model_id"  # MLflow's databases do not keep the one that they are given
_VERSIONS_TAG = "mlflow.modelVersions"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,199}")
_LONGEST = 4900  # characters of a description


@dataclass(frozen=True)
class Registered:
    """A version in the registry.

    Attributes:
        aliases: that lead to it now.
        note: why `best` stayed where it was; empty where it did not.
    """

    name: str
    version: int
    aliases: tuple[str, ...]
    note: str = ""


def check_name(name: str) -> None:
    """Refuse a name that MLflow's addresses could not have.

    Raises:
        UserError: says what it may consist of.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"--register {name!r}: letters, digits, spaces and . _ - only, at most 200")


def register(run: RunDir, mlflow_run: str, export: str, name: str, *, higher_is_better: bool = True) -> Registered:
    """Register the model of a run's export, which a sync has logged; the same model is registered once.

    Args:
        mlflow_run: MLflow's id of the run, as `sync` returns it.
        export: "best" or "last".

    Raises:
        UserError: the name cannot be used.
        EnvironmentFault: MLflow has no model of this export.
    """
    check_name(name)
    config = run.config()
    chosen = f"val/{selecting_subset(read(run.journal), config)}/{config.training.select_by}"
    store = store_of(config)
    with store.client(run.path) as client:
        experiment = client.get_run(mlflow_run).info.experiment_id
        logged = models_of(client, mlflow_run, experiment)
        models = [one for one in logged if export in one.tags.get(EXPORT_TAG, "").split(",")]
        if not models:
            raise EnvironmentFault(f"MLflow has no model of {run.path.name}'s export {export}; run `dual-hpc sync`")
        model, versions = models[0], versions_of(client, name)
        version = next((one for one in versions if one.tags.get(MODEL_TAG) == model.model_id), None)
        if version is None:
            if not versions:
                _create_name(client, name)
            version = client.create_model_version(
                name,
                # A server resolves the id itself; a database would be asked through the process-wide address.
                f"models:/{model.model_id}" if store.database is None else model.artifact_location,
                run_id=mlflow_run,
                model_id=model.model_id,
                tags=_tags(run, model, chosen),
            )
            _tell_the_model(client, model, name, version.version)
        report = run.reports / f"test_{export}.md"
        if report.is_file():
            described = f"{_sentence(run.path.name, model)}\n\n{read_text(report)}"
            client.update_model_version(name, version.version, _cut(described))
        client.set_registered_model_alias(name, CANDIDATE, version.version)
        versions = versions_of(client, name)
        best = next((one for one in versions if BEST in aliases_of(client, name, one)), None)
        mine = next(one for one in versions if one.version == version.version)
        note = "" if best is None else reason_to_keep(best.tags, mine.tags, higher_is_better)
        if best is None or not note:
            client.set_registered_model_alias(name, BEST, version.version)
        client.update_registered_model(name, _cut(_table(client, name)))
        return Registered(name, int(version.version), tuple(sorted(aliases_of(client, name, mine))), note)


def selecting_subset(entries: Iterable[Entry], config: RunConfig) -> str:
    """The modalities whose score chose the weights: a model that does not read those of the setting says which."""
    said = [entry.fields.get("subset") for entry in entries if entry.event == "best"]
    return str(said[-1]) if said and said[-1] else config.training.select_modalities


def reason_to_keep(best: Mapping[str, str], new: Mapping[str, str], higher_is_better: bool) -> str:
    """Why the alias `best` stays with a version; empty if the new one is better by the same measure. Pure.

    Args:
        best, new: the versions' tags.
    """
    if best.get(MEASURED_TAG) != new.get(MEASURED_TAG) or MEASURED_TAG not in new:
        theirs, own = (tags.get(MEASURED_TAG, "nothing known") for tags in (best, new))
        return f"best was chosen by {theirs}, this by {own}"
    old, now = (float(tags.get(SCORE_TAG, "nan")) for tags in (best, new))
    is_better = now > old if higher_is_better else now < old
    return "" if is_better else f"best has {old:.4f}, this {now:.4f} ({new[MEASURED_TAG]})"


def versions_of(client: MlflowClient, name: str) -> list[Any]:
    """All versions, the oldest first."""
    return sorted(client.search_model_versions(f"name = '{name}'"), key=lambda one: int(one.version))


def aliases_of(client: MlflowClient, name: str, version: Any) -> list[str]:
    """The aliases that lead to a version."""
    found = client.get_registered_model(name).aliases
    return [alias for alias, number in found.items() if int(number) == int(version.version)]


def _create_name(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _tell_the_model(client: MlflowClient, model: Any, name: str, version: str) -> None:
    """Note the version on the model, where MLflow's page of the model looks for it."""
    known = json.loads(model.tags.get(_VERSIONS_TAG, "[]"))
    versions = [*known, {"name": name, "version": version}]
    client.set_logged_model_tags(model.model_id, {_VERSIONS_TAG: json.dumps(versions)})


def _tags(run: RunDir, model: Any, chosen: str) -> dict[str, str]:
    tags = {"dual.run": run.path.name, "dual.run_id": run.identity().run_id, "dual.step": model.params.get("step", "")}
    tags[MODEL_TAG] = model.model_id
    score = next((one for one in model.metrics or [] if one.key == chosen), None)
    if score is not None:
        tags[SCORE_TAG] = repr(score.value)
        tags[MEASURED_TAG] = f"{chosen} on {score.dataset_name or 'unknown data'} {score.dataset_digest or ''}".strip()
    return tags


def _table(client: MlflowClient, name: str) -> str:
    """All versions with their scores, the newest first."""
    lines = [f"# {markdown_cell(name)}", ""]
    lines += ["| version | run | step | validation | test | aliases |", "|---|---|---|---|---|---|"]
    for one in reversed(versions_of(client, name)):
        model = client.get_logged_model(one.tags[MODEL_TAG]) if MODEL_TAG in one.tags else None
        test = _test_cells(model.metrics if model is not None else [])
        score = one.tags.get(SCORE_TAG)
        cells = [one.version, one.tags.get("dual.run", ""), one.tags.get("dual.step", "")]
        cells += ["" if score is None else f"{float(score):.4f} {one.tags[MEASURED_TAG]}", test]
        cells += [", ".join(sorted(aliases_of(client, name, one)))]
        lines.append("| " + " | ".join(markdown_cell(cell) for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _sentence(run: str, model: Any) -> str:
    """The first line of a version's description, which is all that MLflow's list of versions shows of it, as it is."""
    step, test = model.params.get("step", ""), _test_cells(model.metrics)
    return printable(": ".join([run + (f", step {step}" if step else ""), *([test] if test else [])]))


def _test_cells(metrics: Iterable[Any] | None) -> str:
    found = {one.key: one for one in metrics or [] if re.fullmatch(r"test/(av|avt)/ua", one.key)}
    return ", ".join(f"{key} {found[key].value:.4f}" for key in sorted(found))


def _cut(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST].rpartition(chr(10))[0]}\n\n(cut; all of it is in reports/)\n"
