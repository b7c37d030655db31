"""A protocol's document, or its file of folds, that cannot be meant is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols import protocol_of
from tests.unit.evaluation.protocols_corpus import acted, iemocap
from tests.unit.evaluation.test_document_protocols import data_of, parts_of, speakers

REFUSED = {
    "validation: test": "the test part must not choose the weights",
    "validation: {by: speaker, fold: next}": "give one of by",
    "folds: {by: session, k: 3, values: {1: 1}}": "at most one of values, k and parts",
    "folds: {by: session, values: {1: [1, 2], 2: [2]}}": "session 2 is in 1 and in 2",
    "folds: {by: session, parts: {train: 1, test: [1, 2]}}": "session 1 is in train and in test",
    "folds: {by: session, parts: {validation: 5, test: 5, train: 1}}": "session 5 is in validation and in test",
    "folds: {}": "give one of by, own and file",
    "classes: {angry: [ang], sad: [ang, sad]}": "the label ang is in angry and in sad",
    "classes: {angry: [ang]}": "classes",
    "clases: {a: b, c: d}": "did you mean",
    "target: softly": "target",
    "folds: {by: speaker, values: {1: 9..1}}": "not a range",
    "classes: {}": "classes: give one or more",
    "classes: [ang, sad]": "classes: should be a mapping",
    "classes: {angry: [], sad: sad}": "classes.angry: give one value or more",
    "classes: {yes: ang, no: sad}": "a name that YAML reads as True: put it in quotes",
    "classes: {'': ang, sad: sad}": "'' is no name",
    'classes: {"a\\nb": ang, sad: sad}': "is no name",
    "folds: session": "folds: should be a mapping",
    "folds: {by: speaker, values: {a: []}}": "folds.values.a: give one value or more",
    "folds: {by: speaker, values: {a: 1, A: 2}}": "the fold a is given twice",
    "weight: 0": "weight: input should be greater than 0",
    "weight: -1": "weight: input should be greater than 0",
    "weight: true": "weight: should be a number",
    "weight: .nan": "weight: input should be a finite number",
    "name: a b": "name: a name has letters",
    "validation: {fold: next}": "of two folds the next one is all that trains",
    "validation: {values: {7: 2}}": "the folds are a, b; there is no 7",
    "validation: {values: {a: 3}}": "the folds are a, b; say what validates in b",
    "corpora: {}": "corpora: give one or more",
    "corpora: {iemocap: }": "corpora.iemocap: should be a mapping",
    "corpora: {iemocap: {clases: {a: b}}}": "corpora.iemocap: clases: unknown key; did you mean classes",
    "corpora: {a: {classes: {x: y, z: w}}, A: {classes: {x: y, z: w}}}": "corpora: a is given twice",
    "corpora: {a: {classes: {x: y, z: w}, weight: 1.0e-9}, b: {classes: {x: y, z: w}}}": "at most 1000 times as often",
}


@pytest.mark.parametrize("line", REFUSED)
def test_a_protocol_that_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, line: str) -> None:
    whole = {"classes": "{angry: ang, sad: sad}", "folds": "{by: session}"}
    key, value = line.split(": ", 1)
    whole |= {key: value}
    if key == "validation":
        whole["folds"] = "{by: session, values: {a: [1, 2], b: [3, 4, 5]}}"
    if key == "corpora":
        del whole["classes"]
    with pytest.raises(UserError, match=REFUSED[line]) as caught:
        protocol_of(data_of(tmp_path, "".join(f"{key}: {value}\n" for key, value in whole.items())), [])
    said = str(caught.value)
    assert "\n" not in said and "*" not in said and "valid dictionary" not in said and ": :" not in said


@pytest.mark.parametrize("beside", ["corpus: iemocap", "classes: {angry: ang, sad: sad}", "weight: 2"])
def test_what_stands_beside_corpora_and_belongs_below_it_is_refused(tmp_path: Path, beside: str) -> None:
    text = f"corpora: {{iemocap: {{classes: {{angry: ang, sad: sad}}}}}}\nfolds: {{by: session}}\n{beside}\n"
    with pytest.raises(UserError, match=rf"{beside.split(':')[0]} stands beside corpora; write it below each corpus"):
        protocol_of(data_of(tmp_path, text), [])


IN_VAIN = {
    "folds: {by: season}": "folds.by: no utterance that counts has a season",
    "folds: {own: true}": "folds.own: no utterance that counts has a split",
    "folds: {by: corpus}": "all 50 utterances test, and none is left to train; corpus has no other value",
    "folds: {by: session, values: {a: 9, b: 1..5}}": "is in the fold a; as session there are 1, 2, 3, 4, 5: ",
    "folds: {by: session, parts: {train: 1..5, test: 9}}": "no utterance that counts is in the part test",
    "folds: {by: session}\nvalidation: {same: session}": "same: session: no utterance outside of the test part",
    "folds: {by: session}\nvalidation: {values: {1: 9}}": "values: no utterance outside of the test part",
    "folds: {by: session, k: 2}\nvalidation: {fold: next}": "of two folds the next one is all that trains",
    "folds: {by: session, k: 9}": "9 folds of 5 values of session: use fewer folds",
}


@pytest.mark.parametrize("rules", IN_VAIN)
def test_a_rule_that_finds_nobody_is_refused_and_not_passed_over(tmp_path: Path, rules: str) -> None:
    utterances = [one for one in iemocap() if one.label in ("ang", "sad")]
    text = f"classes: {{angry: ang, sad: sad}}\n{rules}\nshared: {{speaker: validation, dialogue: validation}}\n"
    with pytest.raises(UserError, match=IN_VAIN[rules]) as caught:
        data = data_of(tmp_path, text)
        data = data.model_copy(update={"test_fold": (protocol_of(data, utterances).folds or (1,))[0]})
        protocol_of(data, utterances).split(utterances, data)
    assert "\n" not in str(caught.value)


NAMES = "speaker,fold\nAnn,1\nBob,1\nCid,two\nDan,two\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_of_folds_may_come_from_any_editor(tmp_path: Path, end: str, mark: bytes) -> None:
    utterances = acted("mine", ["Ann", "Bob", "Cid", "Dan"], ["ang", "sad"])
    (tmp_path / "f.csv").write_bytes(mark + NAMES.replace("\n", end).encode())
    text = "classes: {angry: ang, sad: sad}\nfolds: {file: f.csv}\nvalidation: {by: speaker}\n"
    data = data_of(tmp_path, text, test_fold="two")
    assert speakers(parts_of(data, utterances)["test"]) == {"Cid", "Dan"}


def test_an_accented_letter_may_be_written_as_two_characters(tmp_path: Path) -> None:
    composed, two = "Jos\u00e9", "Jose\u0301"
    names = {"Ann": composed}
    utterances = [
        one.model_copy(update={"speaker": names.get(one.speaker, one.speaker)})
        for one in acted("mine", ["Ann", "Bob", "Cid"], ["ang", "sad"])
    ]
    (tmp_path / "f.csv").write_text(f"speaker,fold\n{two},1\nBob,2\nCid,3\n", encoding="utf-8")
    text = "classes: {angry: ang, sad: sad}\nfolds: {file: f.csv}\nvalidation: {fold: next}\n"
    assert speakers(parts_of(data_of(tmp_path, text, test_fold=1), utterances)["test"]) == {composed}


FILES = {
    NAMES.replace(",", ";"): "two columns with a comma between them",
    "speaker,fold\n": "has no row below its first line",
    NAMES + "Eve,\n": "line 6 has no speaker and fold",
    NAMES.replace("fold", "part"): "line 2: '1' is not train, validation or test",
    NAMES + "x" * 200_000 + ",1\n": "line 6 cannot be read as CSV",
    NAMES.replace("speaker", "talker"): "no column 'talker'",
    NAMES + "ann,two\n": "ann is in 1 and in two",
}


@pytest.mark.parametrize("content", FILES, ids=list(FILES.values()))
def test_a_file_of_folds_that_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    utterances = acted("mine", ["Ann", "Bob", "Cid", "Dan"], ["ang", "sad"])
    (tmp_path / "f.csv").write_text(content)
    data = data_of(tmp_path, "classes: {angry: ang, sad: sad}\nfolds: {file: f.csv}\n", test_fold="two")
    with pytest.raises(UserError, match=FILES[content]) as caught:
        protocol_of(data, utterances).split(utterances, data)
    assert "\n" not in str(caught.value)
