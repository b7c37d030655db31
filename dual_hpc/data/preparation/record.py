"""How clips were prepared when they were packed: recorded in the shards' index, in a saved model, and done again.

The index says it as the text of the packing's options. Training copies it into the model's `config.json`
(`preparation`), `dual-hpc extract` into the index of the features. Prediction prepares a raw clip by it, with the code
that packed (`clip.py`). A model of an earlier version has no record, and its clips are prepared as they were then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dual_hpc.errors import UserError

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance

KEY = "preparation"  # in the index of features, and in a model's config.json
GRID_HZ = 5.0  # pictures per second that are coded as references; what the presets' `data.video_hz` is
_LOOKED_AT = 256  # samples that are asked whether they show half of a picture: a corpus shows halves in all or in none

Side = Literal["left", "right", "whole"]


class Preparation(BaseModel):
    """What packing did to each clip.

    Attributes:
        video_size: pixels of the short side; smaller sources are not enlarged.
        max_fps: pictures per second, at most.
        max_seconds: longer media were cut here.
        crf: x264's quality.
        grid_hz: pictures per second that are coded as references.
        audio: "downmix" of all channels, or "center": the front centre of 5.1.
        picture_rows: shares of the height between which a half shows the speaker.
        faces: square crops of the tracked face.
        halves: the pictures are halves of a split screen, left or right.
        mixed: what differs between the folders that a model was trained on; this is the record of the first.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    video_size: int = Field(ge=16, le=2160)
    max_fps: int = Field(ge=1, le=120)
    max_seconds: float = Field(ge=0.1, le=600)
    crf: int = Field(ge=0, le=51)
    grid_hz: float = Field(GRID_HZ, ge=0.1, le=120)
    audio: Literal["downmix", "center"] = "downmix"
    picture_rows: tuple[float, float] = (0.0, 1.0)
    faces: bool = False
    halves: bool = False
    mixed: tuple[str, ...] = ()

    @field_validator("picture_rows", mode="before")
    @classmethod
    def _rows(cls, value: Any) -> Any:
        return value.split(":") if isinstance(value, str) else value

    @field_validator("picture_rows")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1] <= 1:
            raise ValueError("must be two shares of the height, the upper one first")
        return value

    def differences(self, other: Preparation) -> list[str]:
        """What the two show or sound differently, by the names of the options."""
        names = ["audio", "faces", "halves", *(["picture_rows"] if self.halves and other.halves else [])]
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    def to_json(self) -> dict[str, Any]:
        """Plain data, as `of_model` reads it."""
        return self.model_dump(mode="json", exclude={"mixed"} if not self.mixed else set())


def of_index(options: Mapping[str, str], samples: Sequence[Utterance]) -> Preparation | None:
    """The record in the options of an index of media or of features; None where there is none, as of other programs.

    Args:
        samples: metadata of the folder's samples, of which a few are looked at.
    """
    try:
        if KEY in options:
            return Preparation.model_validate_json(options[KEY])
        halves = any(one.options.get("crop") in ("left", "right") for one in islice(samples, _LOOKED_AT))
        return Preparation.model_validate({**options, "halves": halves})
    except ValidationError:
        return None


def of_folders(found: Sequence[Preparation | None]) -> Preparation | None:
    """The record of several folders that are read together: the first, with what the others do differently."""
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found):
        return None
    mixed = dict.fromkeys(name for one in known[1:] for name in known[0].differences(one))
    return known[0].model_copy(update={"mixed": tuple(mixed)})


def of_model(content: Mapping[str, Any] | None, where: object) -> Preparation | None:
    """The record in a saved model's configuration; None of a model of an earlier version.

    Args:
        content: `preparation` of its config.json.
        where: the model, for messages.

    Raises:
        UserError: it is not one that packing could have written.
    """
    if content is None:
        return None
    try:
        return Preparation.model_validate_json(json.dumps(content))
    except (ValidationError, TypeError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        name = ".".join(map(str, (KEY, *first["loc"])))
        raise UserError(f"model: {where}: {name} in its config.json is not valid ({first['msg']})") from error
