"""Writes a synthetic IEMOCAP: the official full release, or the short layout without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shards.synthetic import litter, media
from shards.synthetic.emotions import Floats
from shards.synthetic.faces import Pose, backdrop, draw_head, draw_identity, listening, speaking
from shards.synthetic.iemocap_annotations import evaluation, rater_files, transcription
from shards.synthetic.iemocap_plan import Dialogue, Turn
from shards.synthetic.plan import TINY_SECONDS, generator
from shards.synthetic.speech import RATE, draw_voice, speak

FPS = Fraction(30_000, 1001)
SIZE = (720, 480)
CANVAS = (240, 160)  # a third of SIZE; letter-boxed to rows 40-120, that is y 120-360
BARS = 40
FACE = (60.0, 42.0, 35.0)  # centre and half height in the half picture of 120 x 80
LEAKAGE = 0.06  # of each voice in the other actor's microphone
CHUNK = 16  # pictures drawn at once


class Layout:
    """Where files lie below the corpus folder."""

    def __init__(self, root: Path, short: bool) -> None:
        self.root, self.short = root, short

    def video(self, d: Dialogue) -> Path:
        """The dialogue's two-halves AVI."""
        folder = "Video" if self.short else f"Session{d.session}/dialog/avi/DivX"
        return self.root / folder / f"{d.name}.avi"

    def transcription(self, d: Dialogue) -> Path:
        """The dialogue's sentences."""
        folder = "Transcriptions" if self.short else f"Session{d.session}/dialog/transcriptions"
        return self.root / folder / f"{d.name}.txt"

    def sentence(self, d: Dialogue, t: Turn) -> Path:
        """One utterance's sound."""
        folder = "Audio" if self.short else f"Session{d.session}/sentences/wav"
        return self.root / folder / d.name / f"{t.planned.id}.wav"

    def dialogue_wav(self, d: Dialogue) -> Path | None:
        """Both microphones; not in the short layout."""
        return None if self.short else self.root / f"Session{d.session}/dialog/wav/{d.name}.wav"

    def evaluation(self, d: Dialogue) -> Path | None:
        """The labels; not in the short layout."""
        return None if self.short else self.root / f"Session{d.session}/dialog/EmoEvaluation/{d.name}.txt"

    def all(self, d: Dialogue) -> list[Path]:
        """Every file of a dialogue."""
        maybe = [self.video(d), self.transcription(d), self.dialogue_wav(d), self.evaluation(d)]
        return [path for path in maybe if path] + [self.sentence(d, turn) for turn in d.turns]


def write_dialogue(root: Path, short: bool, dialogue: Dialogue, seed: int, quirks: bool, tiny: Path | None) -> None:
    """Everything that one recording consists of.

    Args:
        tiny: folder of `write_tiny_media`, whose files are linked instead of making media.
    """
    layout = Layout(root, short)
    for path in layout.all(dialogue):
        path.parent.mkdir(parents=True, exist_ok=True)
    if tiny:
        _link_media(layout, dialogue, tiny)
    else:
        _write_sound(layout, dialogue, seed)
        media.write_avi(layout.video(dialogue), _pictures(dialogue, seed), SIZE, FPS)
    layout.transcription(dialogue).write_text(transcription(dialogue, quirks), encoding="utf-8")
    if labels := layout.evaluation(dialogue):
        labels.write_text(evaluation(dialogue, seed), encoding="utf-8")
        for name, text in rater_files(dialogue).items():
            (labels.parent / name).parent.mkdir(exist_ok=True)
            (labels.parent / name).write_text(text, encoding="utf-8")
    if quirks:
        for path in layout.all(dialogue)[:5]:
            litter.apple_double(path)


def write_tiny_media(folder: Path) -> None:
    """The few files that serve as all media of a tiny corpus: silence, and one dark video of 90 s at 5 Hz."""
    rng = np.random.default_rng(0)
    for seconds in TINY_SECONDS:
        media.write_wav(folder / f"{seconds}.wav", 0.01 * rng.standard_normal(round(seconds * RATE)), RATE)
    media.write_wav(folder / "dialogue.wav", np.zeros((90 * RATE, 2)), RATE)
    picture = np.full((1, CANVAS[1], CANVAS[0], 3), 16, np.uint8)
    media.write_avi(folder / "dialogue.avi", [picture] * (90 * 5 // media.HOLD), SIZE, Fraction(5))


def _link_media(layout: Layout, dialogue: Dialogue, tiny: Path) -> None:
    litter.link(tiny / "dialogue.avi", layout.video(dialogue))
    if wav := layout.dialogue_wav(dialogue):
        litter.link(tiny / "dialogue.wav", wav)
    for turn in dialogue.turns:
        litter.link(tiny / f"{turn.planned.duration}.wav", layout.sentence(dialogue, turn))


def _write_sound(layout: Layout, dialogue: Dialogue, seed: int) -> None:
    """The first microphone is the one of the actor named in the recording (who is on the left)."""
    count = round(dialogue.seconds * RATE)
    own = {actor: np.zeros(count, np.float32) for actor in "FM"}
    for turn in dialogue.turns:
        voice = draw_voice(generator(seed, "iemocap", turn.planned.speaker, "voice"), turn.actor == "F")
        sound = speak(generator(seed, turn.planned.id, "speech"), voice, turn.planned.performance)
        first = round(turn.start * RATE)
        own[turn.actor][first : first + len(sound)] += sound[: count - first]
    rng = generator(seed, dialogue.name, "room")
    left, right = dialogue.name[5], "M" if dialogue.name[5] == "F" else "F"
    microphones = {
        a: np.clip(own[a] + LEAKAGE * own[b] + 0.001 * rng.standard_normal(count), -0.99, 0.99)
        for a, b in ((left, right), (right, left))
    }
    if path := layout.dialogue_wav(dialogue):
        media.write_wav(path, np.stack([microphones[left], microphones[right]], axis=1), RATE)
    for turn in dialogue.turns:
        cut = slice(round(turn.start * RATE), round(turn.end * RATE))
        media.write_wav(layout.sentence(dialogue, turn), microphones[turn.actor][cut], RATE)


def _pictures(dialogue: Dialogue, seed: int) -> Iterator[NDArray[np.uint8]]:
    """Chunks [pictures, 160, 240, 3]: the named actor in the left half, the other in the right."""
    seconds = media.drawing_times(dialogue.seconds, FPS)
    frames = len(seconds)
    actors = [dialogue.name[5], "M" if dialogue.name[5] == "F" else "F"]
    halves = []
    for actor in actors:
        person = f"{dialogue.name[:5]}{actor}"
        identity = draw_identity(generator(seed, "iemocap", person, "face"), actor == "F")
        halves.append((identity, _course(dialogue, actor, seconds, lambda *n: generator(seed, dialogue.name, *n))))
    width, height = CANVAS[0] // 2, CANVAS[1] - 2 * BARS
    for start in range(0, frames, CHUNK):
        cut = slice(start, min(start + CHUNK, frames))
        canvas = np.full((cut.stop - start, CANVAS[1], CANVAS[0], 3), 4, np.float32)
        for side, (identity, pose) in enumerate(halves):
            half = canvas[:, BARS : BARS + height, side * width : (side + 1) * width]
            half[:] = backdrop(height, width, identity)
            draw_head(half, identity, pose.cut(cut), FACE[:2], FACE[2])
        yield np.clip(canvas, 0, 255).astype(np.uint8)


def _course(dialogue: Dialogue, actor: str, seconds: Floats, rng: Callable[..., np.random.Generator]) -> Pose:
    """One actor's face over the whole dialogue: listening, and speaking during the own turns."""
    pose = listening(rng(actor, "listening"), seconds)
    for turn in dialogue.turns:
        if turn.actor == actor:
            cut = slice(*np.searchsorted(seconds, (turn.start, turn.end)))
            if cut.start < cut.stop:
                own = rng(turn.planned.id, "face")
                pose.put(cut, speaking(own, turn.planned.performance, seconds[cut] - turn.start))
    return pose
