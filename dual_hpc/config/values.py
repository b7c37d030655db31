"""Types of single settings: an `auto` beside a number, names, and what they refuse."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

AUTO_MICRO_BATCH = 0  # what `data.micro_batch: auto` is in memory until a job has found the number


def _workers(value: Any) -> Any:
    digits = isinstance(value, str) and value.isdigit()
    if value == "auto" or digits or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return int(value) if digits else value
    raise ValueError("input should be 'auto' or the number of data workers, 0 or more")


WorkerCount = Annotated[Literal["auto"] | int, BeforeValidator(_workers)]


def _micro_batch(value: Any) -> Any:
    if value == "auto":
        return AUTO_MICRO_BATCH
    digits = isinstance(value, str) and value.isdigit()
    if (digits and int(value)) or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return int(value)
    raise ValueError("input should be 'auto' or a number of samples, 1 or more")


def _micro_batch_text(value: int) -> int | str:
    return "auto" if value == AUTO_MICRO_BATCH else value


MicroBatch = Annotated[int, BeforeValidator(_micro_batch), PlainSerializer(_micro_batch_text)]


def _layers(value: Any) -> Any:
    digits = isinstance(value, str) and value.isdigit()
    if (
        value in ("all", "none", "lora")
        or digits
        or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)
    ):
        return int(value) if digits else value
    raise ValueError("input should be 'all', 'none', 'lora' or the number of top layers to fine-tune")


TrainableLayers = Annotated[Literal["all", "none", "lora"] | int, BeforeValidator(_layers)]


def _mixed(value: Any) -> Any:
    numbers = isinstance(value, list) and all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in value)
    if value in ("last", "mix") or (numbers and value):
        return value
    raise ValueError("input should be 'last', 'mix' or a list of layer numbers, as [6, 9, 12]")


EncoderLayers = Annotated[Literal["last", "mix"] | list[int], BeforeValidator(_mixed)]


_LONGEST_FOLD = 128  # a speaker, a dialogue or a key, as the corpus calls it


def _fold(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(value, str) and value.isprintable() and value == value.strip() and 0 < len(value) <= _LONGEST_FOLD:
        return value
    raise ValueError(f"input should be the number of a fold, 1 or more, or its name (up to {_LONGEST_FOLD} signs)")


TestFold = Annotated[int | str, BeforeValidator(_fold)]

SPLIT_COLUMNS = ("speaker", "dialogue", "session", "corpus", "utterance")


def _data_split(value: dict[str, Any]) -> dict[str, Any]:
    columns = [key for key in value if key != "seed"]
    if not value:
        return value
    if len(columns) != 1 or columns[0] not in SPLIT_COLUMNS:
        wrong = f"{columns[0]!r} is not" if len(columns) == 1 else f"{len(columns)} columns are not"
        raise ValueError(f"{wrong} one of {', '.join(SPLIT_COLUMNS)}: write {{speaker: [0.7, 0.15, 0.15]}}")
    seed, how = value.get("seed", 0), value[columns[0]]
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise ValueError("seed should be a whole number, 0 or more")
    if isinstance(how, list):
        numbers = [one for one in how if isinstance(one, int | float) and not isinstance(one, bool)]
        if len(numbers) != len(how) or len(how) != 3 or not math.isclose(sum(numbers), 1, abs_tol=0.005):
            raise ValueError("shares are three numbers that add up to 1: train, validation and test")
        if min(numbers[:2]) <= 0 or numbers[2] < 0:
            raise ValueError("training and validation need a share above 0")
    elif how != "leave_one_out" and (isinstance(how, bool) or not isinstance(how, int) or not 2 <= how <= 1000):
        raise ValueError("a column has three shares, a number of folds (2 or more), or leave_one_out")
    return value


DataSplit = Annotated[dict[str, Any], AfterValidator(_data_split)]


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: [labels] if isinstance(labels, str) else labels for name, labels in value.items()}


def _class_map(value: dict[str, list[str]]) -> dict[str, list[str]]:
    if len(value) == 1:
        raise ValueError("a single class leaves nothing to learn")
    of: dict[str, str] = {}
    for name, labels in value.items():
        for label in (one.strip().lower() for one in labels):
            if of.setdefault(label, name) != name:
                raise ValueError(f"the label {label} belongs to {of[label]} and to {name}")
        if not labels or not name.strip():
            raise ValueError(f"the class {name!r} has no {'labels' if name.strip() else 'name'}")
    return value


ClassMap = Annotated[dict[str, list[str]], BeforeValidator(_listed), AfterValidator(_class_map)]


def _step_range(value: tuple[int, int]) -> tuple[int, int]:
    first, last = value
    if not 1 <= first <= last or last - first >= 1000:
        raise ValueError("input should be the first and the last of 1 to 1000 steps, as [100, 105]")
    return value


StepRange = Annotated[tuple[int, int], AfterValidator(_step_range)]


def _tag_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_. -]{0,199}", name) or name.startswith("dual."):
        raise ValueError("a tag is called by letters, digits and _-. and not dual.*")
    return name


TagName = Annotated[str, AfterValidator(_tag_name)]


def _module_name(name: str) -> str:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError("a plugin is the dotted name of a Python module, as in mylab.emotion")
    return name


ModuleName = Annotated[str, AfterValidator(_module_name)]
