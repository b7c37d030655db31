"""Types of single settings: an `auto` beside a number, names, and what they refuse."""

from __future__ import annotations

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
    if value in ("all", "none") or digits or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return int(value) if digits else value
    raise ValueError("input should be 'all', 'none' or the number of top layers to fine-tune")


TrainableLayers = Annotated[Literal["all", "none"] | int, BeforeValidator(_layers)]


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
