"""Which half of an IEMOCAP picture shows the speaker? Asked of the media themselves, since no release file says it.

A mouth moves more while its owner speaks than while the other does, and most where speech is loud. For each small cell
of each half the motion, weighted by the loudness of the speech, is compared between the two actors' turns; every
dialogue then votes for the side of the actor whom its name names, and a sign test says what the votes are worth.
Comparing each cell with itself keeps the listener's own movement, the background and unequal faces out of it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.decoding.container import UnreadableMedia
from dual_hpc.data.decoding.media import iter_frames, read_audio
from dual_hpc.data.format.sample import AUDIO_RATE
from dual_hpc.data.preparation.crop import speaker_box
from shards.corpora import iemocap
from shards.layout import shuffled
from shards.plan import Planned

Cells = NDArray[np.float64]  # [rows, columns]
_GRID = (12, 16)  # cells of a half: small enough that a mouth fills some
_SIDES = ("left", "right")
_TURNS = 6  # of each actor, per dialogue
_SECONDS = 8.0  # of each turn
_CERTAIN = 0.01  # two-sided p below which the votes decide


@dataclass(frozen=True)
class Vote:
    """One dialogue: how much more each half moves while the named actor speaks (above 0) or the other (below 0)."""

    dialogue: str
    left: float
    right: float

    @property
    def named_side(self) -> str:
        """The half that shows the actor whom the recording's name names, according to this dialogue."""
        return "left" if self.left > self.right else "right"


@dataclass(frozen=True)
class Audit:
    """The votes and what they say."""

    votes: list[Vote]
    unreadable: list[str]
    dialogues: int = 0  # that were asked; those that do not vote have an actor without a readable turn, or no motion

    @property
    def for_left(self) -> int:
        """Votes for the named actor on the left."""
        return sum(vote.named_side == "left" for vote in self.votes)

    @property
    def p(self) -> float:
        """Two-sided sign test against a fair coin."""
        count = len(self.votes)
        most = max(self.for_left, count - self.for_left)
        return min(1.0, 2 * sum(math.comb(count, k) for k in range(most, count + 1)) / 2**count)

    @property
    def named_side(self) -> str | None:
        """left or right; None where the votes do not decide."""
        if self.p > _CERTAIN:
            return None
        return "left" if self.for_left > len(self.votes) / 2 else "right"


def audit_sides(
    dialogues: dict[str, list[Planned]],
    rows: tuple[float, float],
    tick: Callable[[int], None] = lambda done: None,
) -> Audit:
    """Let dialogues vote; those in which one actor never speaks abstain.

    Args:
        dialogues: from `choose_dialogues`.
        rows: the picture inside the letter-box, as shares of the height.
        tick: called with 1 after each dialogue.
    """
    votes, unreadable = [], []
    for name, turns in dialogues.items():
        moved: dict[str, list[tuple[Cells, Cells]]] = {"named": [], "other": []}
        for planned in turns:
            assert planned.actor is not None, "chosen for it"
            try:
                moved[planned.actor].append(_moved(planned, rows))
            except UnreadableMedia as error:
                unreadable.append(str(error))
        if all(moved.values()):
            left, right = (
                motion_log_ratio(
                    *(np.mean([pair[side] for pair in moved[actor]], axis=0) for actor in ("named", "other"))
                )
                for side in range(2)
            )
            if left != right:  # pictures that never move say nothing
                votes.append(Vote(name, left, right))
        tick(1)
    return Audit(votes, unreadable, len(dialogues))


def choose_dialogues(utterances: Iterable[Planned], count: int) -> dict[str, list[Planned]]:
    """Up to `count` dialogues, spread over the corpus, with up to six turns of each actor that last a second."""
    found: dict[str, list[Planned]] = defaultdict(list)
    taken: dict[tuple[str, str | None], int] = defaultdict(int)
    for planned in shuffled(list(utterances)):
        source, name = planned.video, str(planned.fields["dialogue"])
        if source is None or source.start is None or planned.audio is None or planned.actor is None:
            continue
        if (source.end or 0.0) - source.start < 1.0 or taken[name, planned.actor] >= _TURNS:
            continue
        if name not in found and len(found) >= count:
            continue
        taken[name, planned.actor] += 1
        found[name].append(planned)
    return dict(found)


def motion_log_ratio(named: Cells, other: Cells) -> float:
    """Motion of a half during the named actor's turns over that during the other's: above 0 if it moves more.

    The sum of the largest and the smallest log ratio over the cells, so that a change of the whole half cancels.
    """
    # Cells that never move would make a large ratio of two small numbers.
    floor = 0.3 * float(np.mean([named, other])) + 1e-9
    ratio = np.log((named + floor) / (other + floor))
    return float(ratio.max() + ratio.min())


def describe(audit: Audit) -> str:
    """The audit in text, with the setting to use."""
    lines = [f"{'dialogue':<22} {'left':>6} {'right':>6}  named actor on the"]
    lines += [f"{v.dialogue:<22} {v.left:>6.2f} {v.right:>6.2f}  {v.named_side}" for v in audit.votes]
    lines += [f"unreadable: {reason}" for reason in audit.unreadable]
    if not audit.dialogues and not audit.votes:
        return "no dialogue can be asked; the audit needs turns of a second and more, with audio, in a dialogue's video"
    votes = f"left {audit.for_left}, right {len(audit.votes) - audit.for_left}, p = {audit.p:.2g}"
    silent = audit.dialogues - len(audit.votes)
    if silent > 0:
        votes += (
            f"; {silent} of {audit.dialogues} dialogues do not vote: an actor has no readable turn, or nothing moves"
        )
    lines.append(votes)
    if audit.named_side is None:
        lines.append(
            "the votes do not decide; use more dialogues (--audit-count), if there are any, or look at the pictures"
        )
    else:
        lines.append(f"pack with --named-side {audit.named_side}")
    return "\n".join(lines)


def audit_folder(source: Path, count: int, rows: tuple[float, float], progress: bool | None) -> Audit:
    """Audit a raw IEMOCAP folder.

    Raises:
        UserError: the folder is not an IEMOCAP release.
    """
    from dual_hpc.progress import ProgressDisplay

    plan = iemocap.read(source)
    chosen = choose_dialogues(plan.utterances, count)
    with ProgressDisplay("auditing dialogues", len(chosen), shown=progress) as bar:
        audit = audit_sides(chosen, rows, bar.advance)
    return replace(audit, unreadable=[reason.replace(f"{plan.root}/", "") for reason in audit.unreadable])


def _moved(planned: Planned, rows: tuple[float, float]) -> tuple[Cells, Cells]:
    """Motion of each cell of the left and the right half during a turn, weighted by loudness."""
    assert planned.video is not None and planned.audio is not None
    start = planned.video.start or 0.0
    end = min(planned.video.end or start + _SECONDS, start + _SECONDS)
    begin = planned.audio.start or 0.0
    wave = read_audio(planned.audio.path, planned.audio.start, begin + _SECONDS)
    times, grids = [], []
    for seconds, picture in iter_frames(planned.video.path, start, end):
        times.append(seconds - start)
        height, width = picture.shape[:2]
        boxes = [speaker_box(width, height, side, rows) for side in _SIDES]
        grids.append([cells(picture[box.top : box.top + box.height, box.left : box.left + box.width]) for box in boxes])
    if len(grids) < 2:
        raise UnreadableMedia(f"{planned.video.path}: a single picture in {planned.key}")
    change = np.abs(np.diff(np.array(grids), axis=0))  # [steps, 2, rows, columns]
    mean = weighted_mean(change, loudness(wave, [(a + b) / 2 for a, b in pairwise(times)]))
    return mean[0], mean[1]


def weighted_mean(change: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of [steps, ...] over the steps by their loudness [steps]; by silence, which weighs nothing, the plain
    mean. The gain of the recording cancels."""
    shares = weight / (weight.max() or 1.0) + 1e-4
    return np.asarray(np.tensordot(shares, change, axes=1) / shares.sum())


def cells(picture: NDArray[np.uint8]) -> Cells:
    """Mean grey of each cell of a picture [H, W, 3]; what does not fill a row or column of cells is cut."""
    down, across = _GRID
    high, wide = max(1, picture.shape[0] // down), max(1, picture.shape[1] // across)
    grey = picture[: high * down, : wide * across].mean(axis=2)
    down, across = grey.shape[0] // high, grey.shape[1] // wide
    return np.asarray(grey.reshape(down, high, across, wide).mean(axis=(1, 3)), dtype=np.float64)


def loudness(wave: NDArray[np.float32], seconds: Iterable[float], width: float = 0.1) -> NDArray[np.float64]:
    """Root mean square of the samples within `width` seconds around each time."""
    half = round(width * AUDIO_RATE / 2)
    centres = (round(at * AUDIO_RATE) for at in seconds)
    parts = [wave[max(0, c - half) : max(1, c + half)] for c in centres]
    return np.array([float(np.sqrt(np.mean(np.square(part)))) if part.size else 0.0 for part in parts])
