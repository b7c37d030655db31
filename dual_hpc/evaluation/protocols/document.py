"""What a protocol's YAML file may say: classes, which utterances, folds, validation, target. Checked, not yet applied.

Columns are fields of `Utterance` (speaker, session, dialogue, split, corpus, season, scripted ...) or of its
`attributes` (gender, sentiment ...). Their values are compared as text in lower case; `1001..1018` is a range.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dual_hpc.config.validation_errors import explain
from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols.document_values import Number, ProtocolName, Table, as_text

Target = Literal["class", "soft", "regression"]
Dimension = Literal["valence", "arousal", "dominance"]
Shared = Literal["validation", "test"]
LARGEST_WEIGHT = 1000  # and as often as the corpus of the lowest weight


def _each_once(table: Mapping[str, list[str]], what: str, where: str) -> None:
    known: dict[str, str] = {}
    for name, values in table.items():
        for value in values:
            if known.setdefault(value, name) != name:
                raise ValueError(f"{where}: {what} {value} is in {known[value]} and in {name}")


def _each_fold_once(table: Mapping[str, list[str]], where: str) -> None:
    """Folds are told apart in lower case (`data.test_fold`)."""
    names = Counter(as_text(name) for name in table)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"{where}: the fold {twice[0]} is given twice")


def _other_names(given: Mapping[str, Any], folds: Mapping[str, Any]) -> str:
    """Where values for the folds do not name each of them: which one, as words."""
    named, known = ({as_text(name) for name in table} for table in (given, folds))
    if other := sorted(named - known):
        return f"there is no {other[0]}"
    return f"say what validates in {min(known - named)}" if known - named else ""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CorpusRules(_Part):
    """How the utterances of one corpus are read.

    Attributes:
        classes: class -> the labels, as the corpus spells them, that belong to it.
        label: the column that holds the label.
        where, exclude: column -> values; only utterances with these, and none with those, count.
        weight: how often its utterances are read in an epoch, beside those of the lowest weight that train.
    """

    classes: Table = Field(min_length=1)
    label: str = "label"
    where: Table = Field(default_factory=dict)
    exclude: Table = Field(default_factory=dict)
    weight: Number = Field(1.0, gt=0, le=LARGEST_WEIGHT, allow_inf_nan=False)

    @model_validator(mode="after")
    def _no_label_twice(self) -> CorpusRules:
        _each_once(self.classes, "the label", "classes")
        return self


class Folds(_Part):
    """Which utterances test.

    Attributes:
        by: a column. Alone: each of its values is a fold. With `values`: fold -> the values that test. With `k`: its
            values are drawn into k folds of about equal sizes, otherwise with another `seed`. With `parts`: train,
            validation and test -> values; there is one division.
        own: the corpus's own split says it; there is one division.
        file: a CSV file whose first column is `key` or another column, whose second is `fold` or `part`.
        sha256: of the file; the file is refused when it has changed.
        others: what utterances do that no fold names; None: refused.
        unknown: what is done about names of the file that no utterance has; None: refused.
    """

    by: str | None = None
    values: Table = Field(default_factory=dict)
    k: int | None = Field(None, ge=2, le=1000)
    seed: int = Field(0, ge=0, lt=2**31)
    parts: Table = Field(default_factory=dict)
    own: bool = False
    file: str | None = None
    sha256: str | None = None
    others: Literal["train", "leave_out"] | None = None
    unknown: Literal["ignore"] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Folds:
        if [self.by is not None, self.own, self.file is not None].count(True) != 1:
            raise ValueError("give one of by, own and file")
        if [bool(self.values), self.k is not None, bool(self.parts)].count(True) > (1 if self.by else 0):
            raise ValueError("with by, give at most one of values, k and parts")
        if unknown := set(self.parts) - {"train", "validation", "test"}:
            raise ValueError(f"there is no part {min(unknown)!r}; use train, validation and test")
        if self.unknown and self.file is None:
            raise ValueError("unknown: is of the names of a file")
        if self.parts and "train" not in self.parts and self.others != "train":
            raise ValueError("parts: say what trains, or write `others: train`")
        if self.parts:
            _each_once(self.parts, self.by or "", "parts")
        if self.values:
            _each_once(self.values, self.by or "", "values")
        _each_fold_once(self.values, "values")
        return self


class Validation(_Part):
    """Which of the utterances that do not test choose the weights; the rest trains.

    Attributes:
        by, fraction: whole groups (speaker, dialogue ...) are drawn; not given: data.validation, and its fraction.
        fold: `next`: the fold after the test fold.
        same: a column; those that share its values with the test part, as the other speaker of the same session.
        values: fold -> values of the folds' column.
    """

    by: str | None = None
    fraction: float | None = Field(None, gt=0, lt=0.5)
    fold: Literal["next"] | None = None
    same: str | None = None
    values: Table = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_way(self) -> Validation:
        drawn = self.by is not None or self.fraction is not None
        if [drawn, self.fold is not None, self.same is not None, bool(self.values)].count(True) > 1:
            raise ValueError("give one of by (with fraction), fold, same and values")
        _each_fold_once(self.values, "values")
        return self


class ProtocolDocument(_Part):
    """A whole protocol.

    Attributes:
        source: who defined it, for its reports.
        corpora: name -> its rules. A file on one corpus may write `corpus: NAME` and the rules beside it; on any, the
            rules alone: they are those of `*`.
        target: class: the label; soft: the distribution of the raters' votes; regression: the dimensions beside the
            label, or alone where `classes` has one class.
        dimensions: of `target: regression`; not given: all of them.
        self_reports: count what actors say of themselves among the votes.
        shared: what may be in two parts: speaker or dialogue -> `validation` (in train and validation) or `test`.
    """

    name: ProtocolName
    source: str = ""
    corpora: dict[str, CorpusRules] = Field(min_length=1)
    folds: Folds
    validation: Validation = Validation()
    target: Target = "class"
    dimensions: list[Dimension] = Field(default_factory=list)
    self_reports: bool = False
    shared: dict[Literal["speaker", "dialogue"], Shared] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _something_to_learn(self) -> ProtocolDocument:
        if self.target != "regression":
            if self.dimensions:
                raise ValueError("dimensions: are learned by `target: regression` alone")
            if any(len(rules.classes) < 2 for rules in self.corpora.values()):
                raise ValueError("classes: give two or more; one alone says nothing, but with `target: regression`")
        elif len(self.corpora) > 1:
            raise ValueError("target: corpora rate dimensions on scales of their own; learn them from one corpus")
        elif len(set(self.dimensions)) != len(self.dimensions):
            raise ValueError("dimensions: one is there twice")
        return self

    @model_validator(mode="after")
    def _validates_in_a_division(self) -> ProtocolDocument:
        rule, folds = self.validation, self.folds
        if folds.own or folds.parts:
            if rule.fold is not None or rule.values:
                raise ValueError("validation: fold and values are of folds, and these have one division")
        elif rule.fold is not None and (2 in (folds.k, len(folds.values))) and folds.others is None:
            raise ValueError("validation: of two folds the next one is all that trains; use more folds, or by")
        if rule.values and folds.by is None:
            raise ValueError("validation: values are of the column of `folds: {by: COLUMN}`")
        if rule.values and folds.values and (wrong := _other_names(rule.values, folds.values)):
            raise ValueError(f"validation: values: the folds are {', '.join(folds.values)}; {wrong}")
        weights = [rules.weight for rules in self.corpora.values()]
        if max(weights) > LARGEST_WEIGHT * min(weights):
            raise ValueError(f"weight: one corpus is read at most {LARGEST_WEIGHT} times as often as another")
        return self

    @property
    def classes(self) -> tuple[str, ...]:
        """Of all corpora, in the order in which they are written."""
        return tuple(dict.fromkeys(name for rules in self.corpora.values() for name in rules.classes))

    @property
    def allowed(self) -> dict[str, str]:
        """`shared`, as plain words."""
        return {str(kind): str(part) for kind, part in self.shared.items()}

    @property
    def only_corpus(self) -> str | None:
        """The corpus it is defined on; None for any, or several."""
        (first, *others) = self.corpora
        return None if others or first == ANY else first


ANY = "*"
_RULES = tuple(CorpusRules.model_fields)
_KEYS = (*ProtocolDocument.model_fields, "corpus", *_RULES)


def document_of(tree: Any, name: str) -> ProtocolDocument:
    """A protocol from the content of a YAML file.

    Args:
        name: of the setting or the file, for messages.

    Raises:
        UserError: one line that names the key.
    """
    if not isinstance(tree, Mapping):
        raise UserError(f"{name}: a protocol is a mapping (name, classes, folds ...)")
    tree = {str(key): value for key, value in tree.items()}
    if isinstance(tree.get("validation"), str) and tree["validation"] in ("test", "eval"):
        raise UserError(f"{name}: validation: the test part must not choose the weights; draw it from what trains")
    flat = "corpora" not in tree
    _refuse_unknown(tree, _KEYS, name)
    if flat:
        corpus = as_text(tree.pop("corpus", ANY))
        tree["corpora"] = {corpus: {key: tree.pop(key) for key in _RULES if key in tree}}
    elif beside := sorted({"corpus", *_RULES} & set(tree)):
        raise UserError(f"{name}: {beside[0]} stands beside corpora; write it below each corpus")
    elif isinstance(tree["corpora"], Mapping):
        for corpus, rules in tree["corpora"].items():
            if isinstance(rules, Mapping):
                _refuse_unknown(rules, _RULES, f"{name}: corpora.{corpus}")
        corpora = {as_text(key): value for key, value in tree["corpora"].items()}
        if len(corpora) < len(tree["corpora"]):
            twice = Counter(map(as_text, tree["corpora"])).most_common(1)[0][0]
            raise UserError(f"{name}: corpora: {twice} is given twice")
        tree["corpora"] = corpora
    try:
        return ProtocolDocument.model_validate(tree)
    except ValidationError as error:
        said = explain(error, ProtocolDocument)
        own = f"corpora.{corpus}" if flat else ""  # what the file does not say
        raise UserError(f"{name}: {said.removeprefix(f'{own}.').removeprefix(f'{own}: ')}") from error


def _refuse_unknown(given: Mapping[Any, Any], known: Sequence[str], where: str) -> None:
    """Raises a UserError that names the first key that is not known, and the one that may be meant."""
    if unknown := sorted(str(key) for key in given if key not in known):
        near = difflib.get_close_matches(unknown[0], known, n=1)
        advice = f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"
        raise UserError(f"{where}: {unknown[0]}: unknown key; {advice}")
