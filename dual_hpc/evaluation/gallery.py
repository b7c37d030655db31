"""The worst errors of an evaluation, each with a frame of it: what a model takes for what.

It shows pictures and words of the corpus. It is therefore no report: nothing sends it anywhere (`gallery/` of a run is
not what MLflow gets), and it is written only where it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.decoding.decode import DecodeError, decode_audio
from dual_hpc.data.decoding.middle_frame import middle_frame
from dual_hpc.data.format.members import AUDIO, TEXT, VIDEO
from dual_hpc.data.format.reader import SampleReader, is_intact
from dual_hpc.errors import UserError
from dual_hpc.evaluation.prediction_set import PredictionSet
from dual_hpc.evaluation.tables import seen_letters, seen_name
from dual_hpc.files.atomic import write_atomically
from dual_hpc.palette import COLOURS
from dual_hpc.picture import png
from dual_hpc.printable import picture_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 200  # errors
_COLUMNS = 4
_HEARD = 20.0  # seconds of sound that are drawn where there is no picture
_WORDS = 34  # characters of a line below a picture


@dataclass(frozen=True)
class Mistake:
    """An utterance that was answered wrongly; `surplus`: the probability of the answer less that of the truth."""

    key: str
    truth: str
    answer: str
    surplus: float
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class Shown:
    """What is to be seen of an utterance: a picture [H, W, 3], else its sound [n] at 16 kHz, and its words."""

    picture: NDArray[np.uint8] | None
    wave: NDArray[np.float32]
    text: str


def worst(predictions: PredictionSet, subset: str, count: int) -> list[Mistake]:
    """Wrong answers by how much surer the model was of them than of the truth, the worst first.

    Raises:
        UserError: there is no such condition, or `count` is not one to 200.
    """
    if not 1 <= count <= _MOST:
        raise UserError(f"--gallery: {count} is not between 1 and {_MOST}")
    if (found := predictions.found.get(subset)) is None:
        raise UserError(f"--subset: {subset} was not evaluated; choose one of {', '.join(predictions.found)}")
    classes, rows = list(predictions.classes), np.arange(len(found.truth))
    surplus = found.probabilities[rows, found.answers] - found.probabilities[rows, found.truth]
    wrong = [row for row in np.argsort(-surplus, kind="stable").tolist() if found.answers[row] != found.truth[row]]
    return [
        Mistake(
            found.keys[row],
            classes[found.truth[row]],
            classes[found.answers[row]],
            float(surplus[row]),
            dict(zip(classes, found.probabilities[row].tolist(), strict=True)),
        )
        for row in wrong[:count]
    ]


def write_gallery(path: Path, predictions: PredictionSet, shards: Sequence[str | Path], subset: str, count: int) -> int:
    """Draw the worst errors of a condition; nothing is written where there is none.

    Args:
        shards: folders of media that have the utterances; not necessarily those that were evaluated, which may hold
            features.

    Returns:
        How many are shown.

    Raises:
        UserError: the shards have no media, or not these utterances.
    """
    mistakes = worst(predictions, subset, count)
    if not mistakes:
        return 0
    seen = list(_seen([mistake.key for mistake in mistakes], shards))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, _drawn(predictions, subset, list(zip(mistakes, seen, strict=True))))
    return len(mistakes)


def _seen(keys: Sequence[str], shards: Sequence[str | Path]) -> Iterator[Shown]:
    dataset = ShardDataset(shards)
    if dataset.kind != "media":
        raise UserError("--shards: they hold features; name the media shards that these were extracted from")
    wanted = set(keys)
    numbers = {one.key: number for number, one in enumerate(dataset.utterances) if one.key in wanted}
    if missing := [key for key in keys if key not in numbers]:
        raise UserError(f"--shards: they have no utterance {missing[0]}; name the shards that were evaluated")
    with SampleReader() as reader:
        for key in keys:
            ref = dataset.ref(numbers[key])
            found = reader.read(ref, {VIDEO, AUDIO, TEXT} & set(ref.members))
            whole = {name: bytes(data) for name, data in found.items() if is_intact(ref, name, data)}
            yield Shown(_picture(whole), _wave(whole), whole.get(TEXT, b"").decode("utf-8", "replace"))


def _picture(members: Mapping[str, bytes]) -> NDArray[np.uint8] | None:
    if VIDEO not in members:
        return None
    try:
        return middle_frame(members[VIDEO])
    except Exception:  # whatever a decoder raises of a damaged video: the others are still shown
        return None


def _wave(members: Mapping[str, bytes]) -> NDArray[np.float32]:
    try:
        return decode_audio(members[AUDIO], _HEARD) if AUDIO in members else np.zeros(0, np.float32)
    except DecodeError:
        return np.zeros(0, np.float32)


def _drawn(predictions: PredictionSet, subset: str, shown: Sequence[tuple[Mistake, Shown]]) -> bytes:
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(2.9 * columns, 3.1 * rows + 0.4), layout="constrained")
    found, about = predictions.found[subset], predictions.about
    wrong = int(np.count_nonzero(found.answers != found.truth))
    what = f"{about.get('run') or Path(str(about.get('model', ''))).name}, {about.get('split', '')}"
    told = (
        f"{what}: {wrong} of {len(found.truth)} wrong with {seen_name(subset, seen_letters(about))}, the surest first"
    )
    figure.suptitle(picture_text(told), fontsize=10, x=0.01, ha="left")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, (mistake, seen) in zip(axes, shown, strict=False):
        _tile(axis, mistake, seen)
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    return png(figure)


def _tile(axis: Axes, mistake: Mistake, seen: Shown) -> None:
    """A picture, or the sound, between what it is taken for and what it is."""
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_color("#bbbbbb")
    if seen.picture is not None:
        axis.imshow(seen.picture)
    elif seen.wave.size:
        parts = np.array_split(np.abs(seen.wave), min(200, seen.wave.size))
        peaks = np.array([part.max() for part in parts])
        axis.fill_between(np.arange(len(peaks)), -peaks, peaks, color=COLOURS[0], linewidth=0)
        axis.set_ylim(-1, 1)
        axis.set_box_aspect(0.75)
    else:
        axis.text(0.5, 0.5, "neither picture nor sound", ha="center", va="center", transform=axis.transAxes, fontsize=8)
        axis.set_box_aspect(0.75)
    probable = f"{mistake.answer} {100 * mistake.probabilities[mistake.answer]:.0f} %"
    axis.set_title(picture_text(f"said: {probable}"), fontsize=10, color=COLOURS[1], loc="left")
    truth = f"is: {mistake.truth} ({100 * mistake.probabilities[mistake.truth]:.0f} %)"
    below = [truth, _cut(mistake.key), *([f"“{_cut(seen.text)}”"] if seen.text else [])]
    axis.set_xlabel("\n".join(map(picture_text, below)), fontsize=8, loc="left")


def _cut(text: str) -> str:
    return text if len(text) <= _WORDS else f"{text[: _WORDS - 3]}..."
