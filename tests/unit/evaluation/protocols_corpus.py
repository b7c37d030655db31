"""Utterances of made-up corpora, for tests of protocols."""

from __future__ import annotations

from typing import Any

from dual_hpc.data.format.sample import Utterance


def utterance(number: int, **fields: Any) -> Utterance:
    given = {"key": f"u{number}", "corpus": "iemocap", "dialogue": f"d{number}", "utterance": number, "speaker": "S"}
    return Utterance(**{**given, "label": "neu", "duration": 1.0, **fields})


def iemocap(per_dialogue: int = 10) -> list[Utterance]:
    """Five sessions of two speakers and four dialogues, all labels."""
    labels = ["ang", "hap", "exc", "neu", "sad", "fru", "sur", "xxx"]
    found: list[Utterance] = []
    for session in range(1, 6):
        for dialogue in range(4):
            for turn in range(per_dialogue):
                label = labels[(len(found) + turn // 2) % len(labels)]
                who = {"session": session, "speaker": f"Ses0{session}{'FM'[turn % 2]}", "scripted": dialogue > 1}
                found.append(utterance(len(found), dialogue=f"Ses0{session}F_impro0{dialogue}", label=label, **who))
    return found


def acted(corpus: str, speakers: list[str], labels: list[str], takes: int = 3, **fields: Any) -> list[Utterance]:
    """Each speaker says each label a few times, each time in a dialogue of its own."""
    found = []
    for speaker in speakers:
        for label in labels:
            for take in range(takes):
                key = f"{corpus}_{speaker}_{label}_{take}"
                own = {"key": key, "dialogue": key, "speaker": speaker, "label": label, "corpus": corpus}
                found.append(utterance(take, **{**own, **fields}))
    return found
