"""What a protocol's YAML file may say: classes, which utterances, folds, validation, target. Checked, not yet applied.

Columns are fields of `Utterance` (speaker, session, dialogue, split, corpus, season, scripted ...) or of its
`attributes` (gender, sentiment ...). Their values are compared as text in lower case; `1001..1018` is a range.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from dual_hpc.config.validation_errors import explain
from dual_hpc.errors import UserError

Target = Literal["class", "soft", "regression"]
Dimension = Literal["valence", "arousal", "dominance"]
Shared = Literal["validation", "test"]
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_LARGEST_RANGE = 100_000


def as_text(value: Any) -> str:
    """A value of a column as protocols compare it."""
    return str(value).strip().lower()


def _listed(value: Any) -> Any:
    """One value or a list of them, with ranges written out."""
    found: list[str] = []
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict | list) or one is None:
            raise ValueError("should be a value or a list of values")
        span = _RANGE.fullmatch(as_text(one))
        if span is None:
            found.append(as_text(one))
            continue
        first, last = int(span[1]), int(span[2])
        if not first <= last < first + _LARGEST_RANGE:
            raise ValueError(f"{one} is not a range")
        found += [str(number).zfill(len(span[1])) for number in range(first, last + 1)]
    return found


def _by_name(value: Any) -> Any:
    """Names may be numbers in YAML."""
    return {str(name): listed for name, listed in value.items()} if isinstance(value, dict) else value


Values = Annotated[list[str], BeforeValidator(_listed)]
Table = Annotated[dict[str, Values], BeforeValidator(_by_name)]  # name -> values of a column


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CorpusRules(_Part):
    """How the utterances of one corpus are read.

    Attributes:
        classes: class -> the labels, as the corpus spells them, that belong to it.
        label: the column that holds the label.
        where, exclude: column -> values; only utterances with these, and none with those, count.
        weight: how often its utterances are read in an epoch, beside those of the corpus with the lowest weight.
    """

    classes: Table = Field(min_length=1)
    label: str = "label"
    where: Table = Field(default_factory=dict)
    exclude: Table = Field(default_factory=dict)
    weight: float = Field(1.0, gt=0, le=1000, allow_inf_nan=False)

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

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
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
_KNOWN = f"known here: {', '.join(_KEYS)}"


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
    if unknown := set(tree) - {*_KEYS}:
        near = difflib.get_close_matches(min(unknown), _KEYS, n=1)
        raise UserError(f"{name}: {min(unknown)}: unknown key; {f'did you mean {near[0]}?' if near else _KNOWN}")
    if "corpora" not in tree:
        rules = {key: tree.pop(key) for key in _RULES if key in tree}
        tree["corpora"] = {as_text(tree.pop("corpus", ANY)): rules}
    elif isinstance(tree["corpora"], Mapping):
        tree["corpora"] = {as_text(key): value for key, value in tree["corpora"].items()}
    try:
        return ProtocolDocument.model_validate(tree)
    except ValidationError as error:
        raise UserError(f"{name}: {explain(error, ProtocolDocument)}") from error


def _each_once(table: Mapping[str, list[str]], what: str, where: str) -> None:
    known: dict[str, str] = {}
    for name, values in table.items():
        for value in values:
            if known.setdefault(value, name) != name:
                raise ValueError(f"{where}: {what} {value} is in {known[value]} and in {name}")
