"""The report says the numbers, the weak spots, and is the same text for the same result."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from dual_hpc.data.format.sample import Utterance
from dual_hpc.evaluation.baselines import class_prior, majority
from dual_hpc.evaluation.comparison.reliance import Reliance
from dual_hpc.evaluation.figures import confusion_figure
from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.evaluation.report import markdown, write_report
from dual_hpc.evaluation.result import EvaluationResult, assemble
from dual_hpc.evaluation.tables import subset_name
from launch.cli.score_table import left_out_line, score_table

CLASSES = ["joy|bliss", "fear", "anger"]


def predictions(answers: list[int], truth: list[int]) -> Predictions:
    keys = [f"u{n:02d}" for n in range(len(truth))]
    return Predictions(keys, np.array(truth), np.eye(3, dtype=np.float32)[answers])


@pytest.fixture
def result() -> EvaluationResult:
    truth = [0, 0, 0, 1, 1, 2, 2, 2]
    utterances = {
        f"u{n:02d}": Utterance(
            key=f"u{n:02d}", corpus="mine", dialogue=f"d{n // 3}", utterance=n, speaker="x", duration=1.0
        )
        for n in range(8)
    }
    found = {"av": predictions([0, 0, 2, 0, 2, 2, 2, 0], truth), "avt": predictions([0, 0, 0, 1, 2, 2, 2, 2], truth)}
    return assemble({"run": "r", "split": "test"}, CLASSES, [5, 1, 4], found, utterances)


def test_the_report_names_a_class_that_is_never_predicted(result):
    text = markdown(result)
    assert "**Never predicted** with {A,V}: fear." in text
    assert "with {A,V,T}: fear" not in text


def test_the_report_begins_with_its_result(result):
    about = {**result.about, "protocol": "mine|3", "test_fold": 2}
    first = markdown(dataclasses.replace(result, about=about)).splitlines()[2]
    assert first == "**UA 44.4 with {A,V}, 83.3 with {A,V,T}**: 8 utterances of mine\\|3, test_fold 2, split test."
    assert markdown(result).splitlines()[2].endswith("**: 8 utterances of split test.")


def test_the_table_holds_the_baselines_and_every_subset(result):
    rows = [line.split("|")[1].strip() for line in markdown(result).splitlines() if line.startswith("| ")]
    assert rows[2:6] == ["majority", "class prior", "{A,V}", "{A,V,T}"]
    assert "UA +38.9" in markdown(result)  # (1 + 1/2 + 1) / 3 minus (2/3 + 0 + 2/3) / 3


def test_a_class_name_with_a_bar_does_not_break_the_table(result):
    (row,) = [line for line in markdown(result).splitlines() if "bliss" in line and line.startswith("|")]
    assert row.replace("\\|", "").count("|") == 5


def test_intervals_from_few_dialogues_carry_a_warning(result):
    assert "With 3 dialogues these intervals are too narrow" in markdown(result)
    many = dataclasses.replace(result, about={**result.about, "dialogues": 40})
    assert "too narrow" not in markdown(many)


def test_controls_are_scored_beside_the_answers_that_they_change(result):
    truth = [0, 1, 2, 2]
    own, changed = predictions([0, 1, 2, 2], truth), predictions([0, 0, 0, 2], truth)
    utterances = {
        key: Utterance(key=key, corpus="mine", dialogue="d", utterance=0, speaker="x", duration=1.0) for key in own.keys
    }
    found = assemble(
        {"run": "r"}, CLASSES, [1, 1, 1], {"av": own}, utterances, controls={"mismatched": ("av", changed, own)}
    )
    assert found.controls["mismatched"].flips == 0.5
    assert "| {A,V}, mismatched | 4 | 50.0 |" in markdown(found) and "With one dialogue these" in markdown(found)
    assert found.to_json()["controls"]["mismatched"]["flips"] == 0.5
    assert "## Controls" not in markdown(result)


def test_a_corpus_that_knows_no_style_has_no_table_of_styles(result):
    assert "Scripted" not in markdown(result)


def test_a_class_without_an_utterance_is_named(result):
    assert "No utterance" not in markdown(result) and left_out_line(result) is None
    few = assemble(
        {"run": "r", "split": "test", "left_out": "labels x"},
        CLASSES,
        [5, 1, 4],
        {"av": predictions([0, 2], [0, 0])},
        {f"u{n:02d}": utterance(n) for n in range(2)},
    )
    assert few.subsets["av"].scores.values["ua"] == 0.5
    assert "**No utterance** of: fear, anger. UA is the mean over the other classes." in markdown(few)
    said = left_out_line(few)
    assert said == "left out: labels x, which the model does not have; classes without an utterance: fear, anger"


def utterance(number: int, speaker: str = "x") -> Utterance:
    return Utterance(
        key=f"u{number:02d}", corpus="mine", session=5, dialogue="d", utterance=number, speaker=speaker, duration=1.0
    )


def spoken(speakers: list[str]) -> EvaluationResult:
    truth = [n % 3 for n in range(len(speakers))]
    utterances = {f"u{n:02d}": utterance(n, name) for n, name in enumerate(speakers)}
    answers = [0 if name == "weak" else label for name, label in zip(speakers, truth, strict=True)]
    return assemble({"run": "r"}, CLASSES, [1, 1, 1], {"av": predictions(answers, truth)}, utterances)


def test_speakers_are_scored_apart_and_the_worst_is_named():
    found = spoken(["good"] * 12 + ["weak"] * 15 + ["rare|one"] * 3)
    text = markdown(found)
    assert "| mine 5 good | 12 | 100.0 |" in text and "| mine 5 weak | 15 | 33.3 |" in text
    assert "**Worst speaker** with {A,V}: mine 5 weak, UA 33.3." in text
    assert "fewer than 10 utterances, 1 of 3, are in the JSON only" in text and "rare" not in text
    stored = found.to_json()["subsets"]["av"]["speakers"]
    assert {name: row["count"] for name, row in stored.items()} == {
        "mine 5 good": 12,
        "mine 5 weak": 15,
        "mine 5 rare|one": 3,
    }


@pytest.mark.parametrize("speakers", [["good"] * 12, ["good"]])
def test_one_speaker_is_nobodys_worst(speakers):
    text = markdown(spoken(speakers))
    assert "Everything is said by one speaker, mine 5 good." in text and "Worst" not in text


def test_speakers_of_few_utterances_have_no_table():
    text = markdown(spoken(["a"] * 3 + ["b"] * 4))
    assert "2 of 2, are in the JSON only" in text and "| speaker" not in text


def test_the_files_hold_what_the_result_holds(result, tmp_path):
    paths = write_report(tmp_path / "reports", "test_best", result)
    assert [path.name for path in paths] == ["test_best.json", "test_best.md", "test_best.png"]
    assert sorted(paths) == sorted((tmp_path / "reports").iterdir())
    stored = json.loads(paths[0].read_text())
    assert stored["subsets"]["av"]["confusion"] == result.subsets["av"].scores.confusion.tolist()
    assert stored["subsets"]["av"]["never_predicted"] == ["fear"]
    assert stored["text_reliance"]["ua"] == pytest.approx(0.3889, abs=1e-4)
    assert paths[2].read_bytes().startswith(b"\x89PNG")


def test_the_figure_shows_share_and_count_of_each_cell(result):
    figure = confusion_figure({"{A,V}": result.subsets["av"].scores}, CLASSES)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts[:3] == ["67%\n2", "0%\n0", "33%\n1"]


def test_the_majority_answers_the_most_frequent_training_class_not_the_test_s():
    found = majority([1, 5, 2], np.array([0, 0, 0, 1]))
    assert found["wa"] == pytest.approx(0.25)
    assert found["ua"] == pytest.approx(0.5)


def test_the_class_prior_scores_the_sum_of_squared_shares():
    truth = np.repeat([0, 1, 2], [500, 300, 200])
    assert class_prior([50, 30, 20], truth)["wa"] == pytest.approx(0.38, abs=0.01)
    assert class_prior([50, 30, 20], truth) == class_prior([50, 30, 20], truth)


@pytest.mark.parametrize(("subset", "name"), [("av", "{A,V}"), ("tva", "{A,V,T}"), ("t", "{T}")])
def test_subsets_are_written_in_one_order(subset, name):
    assert subset_name(subset) == name


FOREIGN = "a\x1b[31m$x_1$ $\\frac{ | <script>\u202e 日本 " + "long " * 100


def test_foreign_labels_speakers_and_names_do_nothing_to_a_report_or_a_picture(tmp_path, recwarn):
    truth, names = [0, 1, 2, 0], [FOREIGN, "fear", "anger"]
    utterances = {
        f"u{n:02d}": Utterance(key=f"u{n:02d}", corpus="m", dialogue="d", utterance=n, speaker=FOREIGN, duration=1.0)
        for n in range(4)
    }
    found = {"av": predictions([0, 1, 1, 0], truth)}
    report = assemble({"run": f"r|{FOREIGN}", "split": "test"}, names, [2, 1, 1], found, utterances)
    write_report(tmp_path, "test", report)
    text = (tmp_path / "test.md").read_text()
    assert not [c for c in text if not c.isprintable() and c != "\n"] and "<script>" not in text
    for table in text.split("\n\n"):
        cells = {line.replace("\\|", "").count("|") for line in table.splitlines() if table.startswith("| ")}
        assert len(cells) <= 1, table
    assert (tmp_path / "test.png").stat().st_size and not [w for w in recwarn if "Glyph" in str(w.message)]


@pytest.mark.parametrize(
    ("lacks", "rows"),
    [
        ((), ["{A,V}", "{A,V,T}"]),
        (("video",), ["{A}", "{A,T}"]),
        (("text",), ["{A,V}"]),
        (("video", "text"), ["{A}"]),
        (("audio", "text"), ["{V}"]),
        (("audio", "video"), ["{T}"]),
        (("audio", "video", "text"), ["{A,V}", "{A,V,T}"]),
    ],
)
def test_rows_are_named_by_what_the_utterances_have(lacks: tuple[str, ...], rows: list[str]) -> None:
    truth = [0, 1, 2, 2]
    own = predictions([0, 1, 2, 2], truth)
    fields = {f"has_{name}": False for name in lacks}
    utterances = {
        key: Utterance(key=key, corpus="mine", dialogue="d", utterance=0, speaker="x", duration=1.0, **fields)
        for key in own.keys
    }
    found = assemble({"run": "r", "split": "test"}, CLASSES, [1, 1, 1], {"av": own, "avt": own}, utterances)
    text = markdown(found)
    first = text.partition("\n## ")[0]
    names = [line.split("|")[1].strip() for line in first.splitlines() if line.startswith("| {")]
    assert names == rows
    assert list(score_table(found).columns[0].cells)[2:] == rows
    assert ("No utterance has " + " or ".join(n for n in ("audio", "video", "text") if n in lacks) in text) == bool(
        lacks
    )
    assert (found.text_reliance is None) == ("text" in lacks)
    assert set(found.to_json()["subsets"]) == {"av", "avt"}  # files keep the conditions' names


@pytest.mark.parametrize(
    ("reads", "lacks", "rows"),
    [
        ("a", (), ["{A}"]),
        ("a", ("video",), ["{A}"]),
        ("v", ("text",), ["{V}"]),
        ("t", (), ["{T}"]),
        ("at", ("video",), ["{A}", "{A,T}"]),
        ("vt", ("text",), ["{V}"]),
        ("avt", (), ["{A,V}", "{A,V,T}"]),
    ],
)
def test_a_model_that_reads_less_has_no_rows_of_what_it_does_not_read(
    reads: str, lacks: tuple[str, ...], rows: list[str]
) -> None:
    own = predictions([0, 1, 2, 2], [0, 1, 2, 2])
    fields = {f"has_{name}": False for name in lacks}
    utterances = {
        key: Utterance(key=key, corpus="mine", dialogue="d", utterance=0, speaker="x", duration=1.0, **fields)
        for key in own.keys
    }
    about = {"run": "r", "split": "test", "reads": reads}
    found = assemble(about, CLASSES, [1, 1, 1], {"av": own, "avt": own}, utterances)
    assert list(score_table(found).columns[0].cells)[2:] == rows
    assert (found.text_reliance is None) == ("t" not in reads or "text" in lacks)
    told = markdown(dataclasses.replace(found, reliance=Reliance(0.1, (0.0, 0.2), 0.1, 0.1)))
    assert ("Text reliance" in told) == (found.text_reliance is not None)
