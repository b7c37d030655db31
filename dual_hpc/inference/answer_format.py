"""Answers for programs (JSON lines, CSV) and for people (a table), one after the other as they become known."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from dual_hpc.printable import json_line, printable

DIGITS = 4  # of a probability: the next ones differ from machine to machine
FORMATS = ("table", "jsonl", "csv")
_MOST_WORDS, _LEAST = 3, 0.005  # of an explanation; what a table says as 0 is not said
# Columns of CSV around those of the model. `more` is JSON of the rest: what a manifest's line carries besides its clip.
_PLAIN, _SURE, _NOTES = (
    ("input", "start", "end", "speaker", "label"),
    ("confidence", "unsure"),
    ("modalities", "warnings", "error"),
)
_TOLD = {*_PLAIN, *_SURE, *_NOTES, "probabilities", "dimensions", "duration", "preparation"}
_NAME = 36  # columns of a file's name in a table; of a longer one the end is shown


class AnswerWriter:
    """Writes records: answers, or `{"input", "error"}`.

    Args:
        style: one of `FORMATS`.
        labels, dimensions: of the model, columns of CSV.
    """

    def __init__(self, out: TextIO, style: str, labels: Sequence[str], dimensions: Sequence[str] = ()) -> None:
        self._out, self._style, self._labels, self._dimensions = out, style, labels, dimensions
        self._begun = False
        self._told: set[str] = set()

    def write(self, record: Mapping[str, Any]) -> None:
        """One record, which is flushed."""
        text = {"jsonl": self._json, "csv": self._csv, "table": self._table}[self._style](rounded(record))
        self._begun = True
        if text:
            print(text, file=self._out, flush=True)

    def _json(self, record: Mapping[str, Any]) -> str:
        return json_line(record, self._out.encoding)

    def _csv(self, record: Mapping[str, Any]) -> str:
        shares, values = record.get("probabilities") or {}, record.get("dimensions") or {}
        sure, unsure = record.get("confidence"), record.get("unsure")
        row = [record.get(name) for name in _PLAIN]
        row += [_digits(sure), None if unsure is None else str(unsure).lower()]
        row += [_digits(shares.get(label)) for label in self._labels]
        row += [_digits(values.get(name)) for name in self._dimensions]
        row += [" ".join(record.get("modalities", ())), "; ".join(record.get("warnings", ())), record.get("error")]
        more = {name: value for name, value in record.items() if name not in _TOLD}
        row.append(json_line(more, "utf-8") if more else None)
        columns = [*_PLAIN, *_SURE, *self._labels, *self._dimensions, *_NOTES, "more"]
        lines = [] if self._begun else [columns]
        return _rows([*lines, ["" if value is None else value for value in row]], self._out.encoding)

    def _table(self, record: Mapping[str, Any]) -> str:
        heading = [] if self._begun else [f"{'file':<{_NAME}} {'seconds':>17}  {'answer':<12} {'others'}"]
        if "error" in record:
            return "\n".join(heading)  # standard error has its line
        name = printable(str(record["input"]))
        name = name if len(name) <= _NAME else "..." + name[3 - _NAME :]
        when = f"{record['start']:.2f} - {record['end']:.2f}"
        values = sorted((record.get("probabilities") or {}).items(), key=lambda item: -item[1])
        said = "no speech" if not values else f"{printable(values[0][0])} {100 * values[0][1]:.0f} %"
        said = f"unsure: {said}" if record.get("unsure") else said
        others = ", ".join(f"{printable(label)} {100 * value:.0f} %" for label, value in values[1:4])
        speaker = f"  {printable(str(record['speaker']))}" if "speaker" in record else ""
        notes = [line for line in record.get("warnings", ()) if line not in self._told]
        self._told.update(notes)
        row = f"{name:<{_NAME}} {when:>17}  {said:<12} {others}{speaker}".rstrip()
        why = _why(record["explanation"]) if "explanation" in record else []
        return "\n".join([*heading, row, *(f"    {printable(note)}" for note in [*why, *notes])])


def _why(explanation: Mapping[str, Any]) -> list[str]:
    """The lines of a table that say what the answer above rests on."""
    shares = ", ".join(f"{name} {100 * value:+.0f}" for name, value in explanation["shapley"].items())
    lines = [f"gained by each (Shapley, points): {shares}"]
    if moments := [one for one in explanation["moments"] if one["loss"] >= _LEAST]:
        told = ", ".join(f"{one['start']:.2f} - {one['end']:.2f} s ({-100 * one['loss']:+.0f})" for one in moments)
        lines.append(f"without the most telling moments: {told}")
    words = [one for one in explanation.get("words", ()) if (one["loss"] or 0) >= _LEAST]
    if told := ", ".join(f"{one['word']} ({-100 * one['loss']:+.0f})" for one in _largest(words, "loss")):
        lines.append(f"without the most telling words: {told}")
    looked = [one for one in explanation.get("words", ()) if one["attention"]]
    if told := ", ".join(f"{one['word']} {100 * one['attention']:.0f} %" for one in _largest(looked, "attention")):
        lines.append(f"attention to words: {told}")
    return lines


def _largest(words: Sequence[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    return sorted(words, key=lambda one: -one[name])[:_MOST_WORDS]


def rounded(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with probabilities and dimensions of `DIGITS` digits."""
    found = dict(record)
    for name in ("probabilities", "dimensions"):
        if values := record.get(name):
            found[name] = {label: round(value, DIGITS) for label, value in values.items()}
    return found


def _digits(value: float | None) -> str:
    return "" if value is None else f"{value:.{DIGITS}f}"


def _rows(rows: Sequence[Sequence[Any]], encoding: str | None) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    code = encoding or "utf-8"
    return out.getvalue().rstrip("\n").encode(code, "backslashreplace").decode(code)
