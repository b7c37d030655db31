"""The options that come with a recording, under the names that `dual-hpc predict` has for them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dual_hpc.errors import one_line
from dual_hpc.serving.replies import Refusal

FILE = "file"
WHOLE = "whole"
_NAMES_A_FILE = {
    "path",
    "url",
    "uri",
    "input",
    "filename",
    "folder",
    "src",
    "source",
    "clip",
    "video",
    "audio",
    "media",
}
HOW = "send the recording itself, as multipart/form-data: curl -F file=@clip.mp4"


class RequestOptions(BaseModel):
    """How a recording is answered; what is None is what the server was started with.

    Attributes:
        text: the transcript.
        start, end: seconds of the part to use.
        side: the half of a split screen that shows the speaker.
        window: seconds of a window; `whole`: one answer, as `predict` gives it without `--window`.
        hop, smooth: seconds.
        speech: share of a window that must be speech for an answer.
        unsure: mark answers less sure than those of which this share was wrong.
        stream: answer line by line, as soon as each window is answered.
        files: bring the timeline as CSV, SRT and WebVTT as well.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str | None = None
    start: float | None = Field(None, ge=0, allow_inf_nan=False)
    end: float | None = Field(None, gt=0, allow_inf_nan=False)
    side: Literal["left", "right", "whole"] | None = None
    window: float | Literal["whole"] | None = None
    hop: float | None = Field(None, gt=0, allow_inf_nan=False)
    smooth: float | None = Field(None, ge=0, le=3600)
    speech: float | None = Field(None, ge=0, le=1)
    unsure: float | None = Field(None, ge=0, lt=1)
    stream: bool = False
    files: bool = False

    @field_validator("window", mode="before")
    @classmethod
    def _seconds_or_whole(cls, value: object) -> object:
        if isinstance(value, str) and value != WHOLE:
            try:
                return float(value)
            except ValueError:
                raise ValueError(f"must be seconds, or {WHOLE} for one answer") from None
        return value

    @model_validator(mode="after")
    def _ordered(self) -> RequestOptions:
        if self.end is not None and self.end <= (self.start or 0.0):
            raise ValueError("end must be greater than start")
        return self


def check_name(name: str) -> None:
    """Refuse an option that does not exist, before its value is read.

    Raises:
        Refusal: says what was probably meant.
    """
    if name in RequestOptions.model_fields:
        return
    if name.lower() in _NAMES_A_FILE:
        raise Refusal(400, f"{name}: this server reads no file, and asks no address, that a client names; {HOW}")
    near = get_close_matches(name, [FILE, *RequestOptions.model_fields], n=1, cutoff=0.6)
    meant = f"did you mean {near[0]}?" if near else f"there are {', '.join([FILE, *RequestOptions.model_fields])}"
    raise Refusal(400, f"{one_line(name, 60) or 'an option without a name'}: is no option; {meant}")


def parse_options(fields: dict[str, str]) -> RequestOptions:
    """Options of a form; what is empty is as if it were not there.

    Raises:
        Refusal: names the option and what it may be.
    """
    for name in fields:
        check_name(name)
    try:
        return RequestOptions.model_validate({name: value for name, value in fields.items() if value.strip()})
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        raise Refusal(400, ": ".join([*map(str, first["loc"][:1]), reason])) from error
