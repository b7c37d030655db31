"""Whatever is missing or broken of an utterance: it is planned or left out, once, and no other is counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shards.corpora import iemocap, meld
from shards.plan import Plan
from tests.unit.shards.conftest import MELD_HEADER

PROPERTY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DIALOGUE = "Ses01F_impro01"

LABELS = {
    "well": "[0.5000 - 1.5000]\t{key}\tneu\t[2.5000, 2.5000, 2.5000]",
    "cut": "[0.5000 - 1.5000]\tSes01F_im",
    "mislabelled": "[0.5000 - 1.5000]\t{key}\tbored\t[2.5000, 2.5000, 2.5000]",
    "twice": "[0.5000 - 1.5000]\t{key}\tneu\t[2.5000, 2.5000, 2.5000]\n\n"
    "[0.5000 - 1.5000]\t{key}\tsad\t[2.5000, 2.5000, 2.5000]",
    "absent": "",
}
utterances = st.lists(st.tuples(st.sampled_from(sorted(LABELS)), st.booleans(), st.booleans()), max_size=8)


def lost_and_planned(plan: Plan) -> tuple[set[str], set[str]]:
    planned, lost = [p.key for p in plan.utterances], [s.utterance for s in plan.skips if s.utterance is not None]
    assert len(set(planned)) == len(planned) and len(set(lost)) == len(lost)
    return set(lost), set(planned)


@PROPERTY
@given(utterances)
def test_an_utterance_of_iemocap_is_counted_once(
    tmp_path_factory: pytest.TempPathFactory, put: Callable[[str, Path], Path], rows: list[tuple[str, bool, bool]]
) -> None:
    root = tmp_path_factory.mktemp("iemocap")
    dialog = root / "Session1/dialog"
    (dialog / "EmoEvaluation").mkdir(parents=True)
    (dialog / "transcriptions").mkdir()
    keys = [f"{DIALOGUE}_F{number:03d}" for number in range(len(rows))]
    labels = [LABELS[state].format(key=key) for key, (state, _, _) in zip(keys, rows, strict=True)]
    words = [f"{key} [000.5-001.5]: Hi." for key, (_, said, _) in zip(keys, rows, strict=True) if said]
    (dialog / f"EmoEvaluation/{DIALOGUE}.txt").write_text("\n\n".join(["% [START_TIME - END_TIME]", *labels]) + "\n")
    (dialog / f"transcriptions/{DIALOGUE}.txt").write_text("\n".join(words) + "\n")
    for key, (_, _, recorded) in zip(keys, rows, strict=True):
        if recorded:
            put("tone.wav", root / "Session1/sentences/wav" / DIALOGUE / f"{key}.wav")
    lost, planned = lost_and_planned(iemocap.read(root))
    known = sum(state != "absent" or said for state, said, _ in rows)  # labelled in some way, or transcribed
    # A cut line names nobody: it may be that of a transcribed utterance without one, and is taken for it.
    cut = sum(state == "cut" and not said for state, said, _ in rows)
    unlabelled = sum(state == "absent" and said for state, said, _ in rows)
    assert len(lost | planned) == known - min(cut, unlabelled)
    packable = [state in ("well", "twice") and recorded for state, _, recorded in rows]
    assert planned == {key for key, is_packable in zip(keys, packable, strict=True) if is_packable}


EMOTIONS = {"well": "joy", "mislabelled": "happy"}


@PROPERTY
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([*EMOTIONS, "short", "odd"])), min_size=1, max_size=9))
def test_a_row_of_meld_is_counted_once(
    tmp_path_factory: pytest.TempPathFactory, put: Callable[[str, Path], Path], rows: list[tuple[int, str]]
) -> None:
    root = tmp_path_factory.mktemp("meld")
    lines = []
    for utterance, state in rows:
        number = "x" if state == "odd" else utterance
        emotion = EMOTIONS.get(state, "joy")
        lines.append("1,Hi" if state == "short" else f"1,Hi,Ross,{emotion},positive,0,{number},1,1,a,b")
    (root / "train_sent_emo.csv").write_text("\n".join([MELD_HEADER, *lines]) + "\n")
    for utterance in range(3):  # of five
        put("tone.wav", root / f"train/dia0_utt{utterance}.wav")
    lost, planned = lost_and_planned_rows(meld.read(root))
    named = {utterance for utterance, state in rows if state in EMOTIONS}
    unnamed = sum(state not in EMOTIONS for _, state in rows)
    assert planned == {f"train_dia0_utt{u}" for u in range(3) if (u, "well") in rows}
    assert len(lost | planned) == len(named) + unnamed


def lost_and_planned_rows(plan: Plan) -> tuple[set[str], set[str]]:
    return {s.utterance for s in plan.skips if s.utterance is not None}, {p.key for p in plan.utterances}
