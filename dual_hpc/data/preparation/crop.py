"""Which part of the picture is the speaker, and how large it is stored. Pure arithmetic on whole pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: int
    top: int
    width: int
    height: int


def speaker_side(actor: str | None, named_side: str) -> str:
    """The half that shows the speaker: left, right, or whole where the corpus does not split the picture.

    Args:
        actor: "named" if the speaker is the actor whom the recording's name names, "other" if not; None: one picture.
        named_side: the half that shows the named actor (`PackOptions.named_side` of shards).
    """
    if actor is None or named_side == "whole":
        return "whole"
    return named_side if actor == "named" else {"left": "right", "right": "left"}[named_side]


def speaker_box(width: int, height: int, side: str, rows: tuple[float, float]) -> Box:
    """The speaker's part of a picture: a half without its letter-box, or everything."""
    if side == "whole":
        return Box(0, 0, width, height)
    top, bottom = round(rows[0] * height), max(round(rows[0] * height) + 1, round(rows[1] * height))
    half = max(1, width // 2)
    return Box(0 if side == "left" else width - half, top, half, bottom - top)


def stored_size(width: int, height: int, video_size: int) -> tuple[int, int]:
    """(width, height) after scaling the short side to `video_size`: even, never enlarged."""
    scale = min(1.0, video_size / min(width, height))
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)
