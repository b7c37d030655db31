"""Packing choices: each one changes the bytes of the shards, so each one is recorded in them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from dual_hpc.data.preparation.record import GRID_HZ, Preparation
from dual_hpc.errors import UserError


@dataclass(frozen=True)
class PackOptions:
    """How media are stored. `downmix` or `center` and the crop hold for the whole corpus."""

    video_size: int = 224  # pixels of the short side; smaller sources are not enlarged
    max_fps: int = 30
    max_seconds: float = 40.0  # longer media are cut here (MELD holds wrong cuts of minutes)
    crf: int = 23  # x264 quality
    grid_hz: float = GRID_HZ  # pictures per second that can be decoded without the rest
    audio: str = "downmix"  # or "center": the front centre channel of 5.1, where speech is
    # IEMOCAP: the half with the actor whom the recording's name names (Ses01F_...: the woman); "whole" keeps both.
    named_side: str = "left"
    picture_rows: tuple[float, float] = (0.25, 0.75)  # IEMOCAP: the letter-boxed picture, as shares of the height
    faces: bool = False  # square crops of the tracked face; the whole picture where none is found
    shard_samples: int = 0  # planned utterances per shard; 0: 256, fewer for small corpora

    def __post_init__(self) -> None:
        if not 16 <= self.video_size <= 2160:
            raise UserError(f"--video-size: {self.video_size} is not between 16 and 2160 pixels")
        if not 1 <= self.max_fps <= 120:
            raise UserError(f"--max-fps: {self.max_fps} is not between 1 and 120")
        if not 0.1 <= self.max_seconds <= 600:
            raise UserError(f"--max-seconds: {self.max_seconds} is not between 0.1 and 600")
        if not 0 <= self.crf <= 51:
            raise UserError(f"--crf: {self.crf} is not between 0 and 51")
        if not 0.1 <= self.grid_hz <= 120:
            raise UserError(f"--grid-hz: {self.grid_hz:g} is not between 0.1 and 120")
        if self.audio not in ("downmix", "center"):
            raise UserError(f"--audio: {self.audio!r} is not one of downmix, center")
        if self.named_side not in ("left", "right", "whole"):
            raise UserError(f"--named-side: {self.named_side!r} is not one of left, right, whole")
        top, bottom = self.picture_rows
        if not 0 <= top < bottom <= 1:
            raise UserError(f"--picture-rows: {top}:{bottom} is not TOP:BOTTOM with 0 <= TOP < BOTTOM <= 1")
        if self.shard_samples < 0:
            raise UserError(f"--shard-samples: {self.shard_samples} is negative")

    def preparation(self) -> Preparation:
        """What is done to each clip."""
        names = ("video_size", "max_fps", "max_seconds", "crf", "grid_hz", "audio", "picture_rows", "faces")
        return Preparation(**{name: getattr(self, name) for name in names})

    def recorded(self) -> dict[str, str]:
        """The choices as text, in the order above: `options` of the index."""
        return {f.name: _text(getattr(self, f.name)) for f in fields(self)}


def picture_rows(text: str) -> tuple[float, float]:
    """TOP:BOTTOM as two shares of the height."""
    try:
        top, bottom = (float(part) for part in text.split(":"))
    except ValueError:
        raise UserError(f"--picture-rows: {text!r} is not TOP:BOTTOM") from None
    return top, bottom


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ":".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
