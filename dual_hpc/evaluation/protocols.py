"""Evaluation protocols: which label counts, which utterances train, choose and test (`EVALUATION` rule 1).

Everything here is a pure function of the utterances' metadata and the `data` section, so every rank, every restart and
every later evaluation draws the same split. Only labelled utterances are numbered. The validation split is drawn inside
the training pool and never sees the test fold.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dual_hpc.config.schema import DataConfig
from dual_hpc.data.format.sample import Utterance
from dual_hpc.errors import UserError

Split = dict[str, list[int]]  # "train", "validation", "test" -> positions in the list of utterances
SPLITS = ("train", "validation", "test")

_SPLIT_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing", "eval"), "test"),
}
_NO_MAJORITY = {"xxx", ""}  # IEMOCAP writes xxx where the raters did not agree
_DRAWS = 32  # candidate validation splits, of which the most representative is taken


@dataclass(frozen=True)
class Protocol:
    """One way to read a corpus as a classification task.

    Attributes:
        name: the value of `data.protocol`.
        corpus: the only corpus it is defined on; None for any.
        classes: display names; the position is the class number.
        label_map: the corpus's spelling, in lower case, to the class number.
    """

    name: str
    corpus: str | None
    classes: tuple[str, ...]
    label_map: Mapping[str, int]

    def label_of(self, utterance: Utterance) -> int | None:
        """The class number of an utterance; None when the protocol leaves it out."""
        if utterance.label is None:
            return None
        return self.label_map.get(utterance.label.strip().lower())

    def labels_of(self, utterances: Iterable[Utterance]) -> list[int | None]:
        """`label_of` each utterance, in order."""
        return [self.label_of(utterance) for utterance in utterances]

    def split(self, utterances: Sequence[Utterance], data: DataConfig) -> Split:
        """The positions that train, choose and test; disjoint, each ascending.

        IEMOCAP: the test is session `data.test_fold`. A corpus with its own `split` uses that. Where the corpus names
        no validation part, one is drawn from the training pool by `data.validation`.

        Raises:
            UserError: other corpus than the protocol's, no usable label, no split to be made, nothing to train on.
        """
        self._check(utterances)
        parts: Split = {name: [] for name in SPLITS}
        for number, utterance in enumerate(utterances):
            if self.label_of(utterance) is not None:
                parts[_part(utterance, data.test_fold)].append(number)
        if not parts["train"]:
            raise UserError(f"data.protocol: {self.name} leaves no utterance to train on (see data.test_fold)")
        if not parts["validation"]:
            drawn = _draw(parts["train"], utterances, self, data)
            parts["train"] = [number for number in parts["train"] if number not in drawn]
            parts["validation"] = sorted(drawn)
        return parts

    def _check(self, utterances: Sequence[Utterance]) -> None:
        found = sorted({utterance.corpus for utterance in utterances})
        if self.corpus is not None and any(corpus.lower() != self.corpus for corpus in found):
            raise UserError(
                f"data.protocol: {self.name} is defined on {self.corpus}, but data.shards hold {', '.join(found)}; "
                "use the protocol of that corpus, or data.protocol=all"
            )
        if all(self.label_of(utterance) is None for utterance in utterances):
            labels = sorted({utterance.label or "none" for utterance in utterances})[:12]
            raise UserError(
                f"data.protocol: no utterance carries a label of {self.name} "
                f"({', '.join(self.classes) or 'any'}); labels found: {', '.join(labels) or 'no utterances at all'}"
            )


def get_protocol(name: str, utterances: Iterable[Utterance] = ()) -> Protocol:
    """The protocol called `name`; the classes of `all` are the sorted labels found in `utterances`.

    Raises:
        UserError: unknown name.
    """
    if name == "all":
        found = {(u.label or "").strip().lower() for u in utterances}
        return protocol_of_classes(sorted(found - _NO_MAJORITY))
    if name not in _FIXED:
        raise UserError(f"data.protocol: {name!r} is unknown; use one of {', '.join([*_FIXED, 'all'])}")
    return _FIXED[name]


def protocol_of_classes(classes: Sequence[str]) -> Protocol:
    """Protocol `all` over given classes: what a trained model's own labels mean on other shards."""
    return Protocol("all", None, tuple(classes), {label: number for number, label in enumerate(classes)})


def dialogue_of(utterance: Utterance) -> str:
    """A dialogue's identity over all corpora (MELD's numbers restart in each split): the cluster of the bootstrap."""
    return f"{utterance.corpus}/{utterance.session}/{utterance.split}/{utterance.dialogue}"


def speaker_of(utterance: Utterance) -> str:
    """A speaker's identity over all corpora and sessions."""
    return f"{utterance.corpus}/{utterance.session}/{utterance.speaker}"


def _fixed(name: str, corpus: str, classes: dict[str, tuple[str, ...]]) -> Protocol:
    numbers = {label: number for number, labels in enumerate(classes.values()) for label in labels}
    return Protocol(name, corpus, tuple(classes), numbers)


_FIXED = {
    protocol.name: protocol
    for protocol in (
        _fixed(
            "iemocap4",
            "iemocap",
            {"angry": ("ang",), "happy": ("hap", "exc"), "neutral": ("neu",), "sad": ("sad",)},
        ),
        _fixed(
            "iemocap6",
            "iemocap",
            {
                "happy": ("hap",),
                "sad": ("sad",),
                "neutral": ("neu",),
                "angry": ("ang",),
                "excited": ("exc",),
                "frustrated": ("fru",),
            },
        ),
        _fixed(
            "meld7",
            "meld",
            {name: (name,) for name in ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")},
        ),
    )
}


def _part(utterance: Utterance, test_fold: int) -> str:
    if utterance.split is not None:
        part = _SPLIT_NAMES.get(utterance.split.strip().lower())
        if part is None:
            raise UserError(f"data.protocol: {utterance.key} has the split {utterance.split!r}; use train, dev or test")
        return part
    if utterance.session is None:
        raise UserError(
            f"data.protocol: {utterance.key} of corpus {utterance.corpus} has neither a split nor a session "
            "to say whether it trains or tests; add a split column (train, dev, test) to the manifest and pack again"
        )
    return "test" if utterance.session == test_fold else "train"


def _draw(pool: list[int], utterances: Sequence[Utterance], protocol: Protocol, data: DataConfig) -> set[int]:
    """Whole groups (speakers or dialogues) of the pool, about `validation_fraction` of it, with its mix of classes.

    Groups are ordered by a hash of their identity, so the draw depends on nothing but the metadata. Of several such
    orders the one with the most representative classes is taken: a small validation split that lacks a class
    cannot choose a checkpoint by UA.
    """
    identity = speaker_of if data.validation == "speaker" else dialogue_of
    groups: dict[str, list[int]] = {}
    for number in pool:
        groups.setdefault(identity(utterances[number]), []).append(number)
    if len(groups) < 2:
        raise UserError(
            f"data.validation: the training part has a single {data.validation}, so no validation split can be drawn; "
            "use the other of speaker and dialogue, or give the corpus a dev split"
        )
    labels = {number: protocol.label_of(utterances[number]) for number in pool}
    whole = Counter(labels.values())
    wanted = data.validation_fraction * len(pool)

    def candidate(draw: int) -> list[int]:
        taken: list[int] = []
        for group in sorted(groups, key=lambda name: hashlib.sha256(f"{draw}:{name}".encode()).digest()):
            # The first group always goes in; then only those that bring the size nearer to the wanted one.
            if not taken or abs(len(taken) + len(groups[group]) - wanted) < abs(len(taken) - wanted):
                taken += groups[group]
        return taken

    def cost(taken: Iterable[int]) -> tuple[int, float]:
        part = Counter(labels[number] for number in taken)
        size = part.total()
        lost = sum(part[label] in (0, whole[label]) for label in whole)
        return lost, sum(abs(part[label] / size - whole[label] / len(pool)) for label in whole)

    # A single group may hold most of the pool; what is taken must leave something to train on.
    candidates: list[list[int]] = [taken for taken in map(candidate, range(_DRAWS)) if len(taken) < len(pool)]
    return set(min(candidates or sorted(groups.values(), key=len)[:1], key=cost))
