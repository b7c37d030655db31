"""What a run was trained, validated and tested on, as MLflow's datasets: the digest is the shards' own id."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dual_hpc.run.journal import Entry

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput


@dataclass(frozen=True)
class SplitData:
    """One split of shards under a protocol.

    Attributes:
        digest: the data set's id, which `index.json` has.
        fold: of which the test consists; None where the protocol has no folds.
        count: utterances, where they are known.
        folders: of the shards.
    """

    digest: str
    protocol: str
    split: str
    fold: int | str | None
    count: int | None = None
    folders: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Such as "iemocap4-fold5-test": what MLflow shows, and searches for."""
        parts = [self.protocol, *([] if self.fold is None else [f"fold{self.fold}"]), self.split]
        return "-".join(parts)


def trained_on(entries: Iterable[Entry], protocol: str, folders: Iterable[str]) -> list[SplitData]:
    """The splits that the latest job has read, as it noted in the journal; none of journals that do not say."""
    started = [entry.fields for entry in entries if entry.event == "start"]
    fields = next((fields for fields in reversed(started) if isinstance(fields.get("dataset"), str)), None)
    if fields is None or not isinstance(fields.get("splits"), Mapping):
        return []
    fold = fields.get("test_fold")
    return [
        SplitData(fields["dataset"], protocol, str(split), _fold(fold), _count(n), tuple(folders))
        for split, n in fields["splits"].items()
    ]


def evaluated_on(about: Mapping[str, Any], folders: Iterable[str] = ()) -> SplitData | None:
    """The split that a report is about; None where it does not say."""
    digest, protocol, split, fold = (about.get(key) for key in ("dataset", "protocol", "split", "test_fold"))
    if not (isinstance(digest, str) and isinstance(protocol, str) and isinstance(split, str)):
        return None
    return SplitData(digest, protocol, split, _fold(fold), _count(about.get("count")), tuple(folders))


def _fold(value: Any) -> int | str | None:
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None


def log_datasets(client: MlflowClient, mlflow_run: Any, found: Iterable[SplitData]) -> None:
    """Make them inputs of MLflow's run, those that it has not yet, each once."""
    known = {(one.dataset.name, one.dataset.digest) for one in mlflow_run.inputs.dataset_inputs}
    new = {(data.name, data.digest[:36]): data for data in found}
    if inputs := [as_input(data) for place, data in new.items() if place not in known]:
        client.log_inputs(mlflow_run.info.run_id, datasets=inputs)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_input(data: SplitData) -> DatasetInput:
    """MLflow's form: the context is the split, protocol and fold are tags."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    facts: dict[str, Any] = {"protocol": data.protocol, "split": data.split}
    facts |= {} if data.fold is None else {"test_fold": data.fold}
    profile = facts | ({} if data.count is None else {"num_rows": data.count})
    source = json.dumps({"uri": list(data.folders)})
    tags = {"mlflow.data.context": data.split, **{f"dual.{key}": str(value) for key, value in facts.items()}}
    return DatasetInput(
        Dataset(data.name, data.digest[:36], "local", source, profile=json.dumps(profile)),
        [InputTag(key, value) for key, value in tags.items()],
    )
