"""What every planned utterance has in common, and the plan file that says what was planted where."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shards.synthetic.dials import Dials
from shards.synthetic.emotions import Performance, perform
from shards.synthetic.sentences import Role

NO_MAJORITY = "xxx"  # the raters did not agree: whatever is shown, it is hardly there
TINY_SECONDS = (0.3, 0.4, 0.5, 0.6, 0.7)  # of the few media files that a tiny corpus links again and again


@dataclass(frozen=True)
class Planned:
    """One utterance: what is shown and said. `id` is unique in the corpus."""

    id: str
    speaker: str
    label: str  # in the corpus's own spelling
    performance: Performance
    text: str
    role: Role
    recurs: bool = False  # the sentence occurs in another session too
    quirk: str = ""

    @property
    def duration(self) -> float:
        """Seconds of media."""
        return self.performance.duration


def generator(seed: int, *names: object) -> np.random.Generator:
    """Randomness that belongs to a name: independent of what else is generated, and in which order."""
    return np.random.default_rng([seed, zlib.crc32("/".join(map(str, names)).encode())])


def show(
    rng: np.random.Generator, label: str, emotions: Mapping[str, str], duration: float, dials: Dials
) -> Performance:
    """The performance of a corpus label; without a majority a random emotion is shown, weakly."""
    if label != NO_MAJORITY:
        return perform(rng, emotions[label], duration, dials=dials)
    names = sorted(set(emotions.values()))
    return perform(rng, names[int(rng.integers(len(names)))], duration, weak=True, dials=dials)


def share_out(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """`total` cut into whole numbers in proportion to `weights` (largest remainder); exact if they already fit."""
    scale = total / sum(weights.values())
    counts = {name: int(weight * scale + 1e-9) for name, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda name: (counts[name] - weights[name] * scale, -weights[name], name))
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def write_plan(path: Path, utterances: Iterable[tuple[Planned, Mapping[str, Any]]]) -> None:
    """One JSON object per line: the utterance, what was planted in it, and the corpus's own fields."""
    with open(path, "w", encoding="utf-8") as file:
        for planned, fields in utterances:
            shown = planned.performance
            row = {
                "id": planned.id,
                **fields,
                "speaker": planned.speaker,
                "label": planned.label,
                "emotion": shown.emotion,
                "mechanism": "none" if planned.label == NO_MAJORITY else shown.mechanism,
                "dynamics": shown.dynamics,
                "level": shown.level,
                "audio_weak": shown.audio_weak,
                "video_weak": shown.video_weak,
                "duration": round(shown.duration, 4),
                "text_role": planned.role,
                "recurs": planned.recurs,
                "text": planned.text,
                "quirk": planned.quirk,
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
