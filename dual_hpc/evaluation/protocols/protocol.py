"""What an evaluation protocol is: which labels count, and which utterances train, validate and test.

The rule: selection never sees the test fold. The validation split, which chooses checkpoints and settings, is drawn
inside the training pool or is the corpus's own.

Everything here is a pure function of the utterances' metadata and the `data` section, so every rank, every restart and
every later evaluation draws the same split. Only labelled utterances are numbered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols.registered import ProtocolRegistry
from dual_hpc.evaluation.protocols.split import own_split_or_session

if TYPE_CHECKING:
    from dual_hpc.config.schema import DataConfig
    from dual_hpc.data.format.sample import Utterance
    from dual_hpc.evaluation.protocols.division import Indices
    from dual_hpc.evaluation.protocols.group_split import GroupSplit

Split = dict[str, list[int]]  # "train", "validation", "test" -> positions in the list of utterances
SPLITS = ("train", "validation", "test")
_NO_MAJORITY = {"xxx", ""}  # IEMOCAP writes xxx where the raters did not agree


@dataclass(frozen=True)
class Protocol:
    """One way to read a corpus as a classification task.

    Attributes:
        name: the value of `data.protocol`.
        corpus: the only corpus it is defined on; None for any.
        classes: display names; the position is the class number. Empty: the labels found (`with_labels_of`).
        label_map: the corpus's spelling, in lower case, to the class number.
        folds: the values of `data.test_fold`, each of which holds out another part; empty: there is one division.
        split_of: an utterance and `data.test_fold` -> one of `SPLITS`; UserError: nothing says which.
        groups: divides by groups instead, whatever the corpus says (`data.split`).
    """

    name: str
    corpus: str | None
    classes: tuple[str, ...]
    label_map: Mapping[str, int]
    folds: tuple[int | str, ...] = ()
    split_of: Callable[[Utterance, int], str] = own_split_or_session
    groups: GroupSplit | None = None

    def label_of(self, utterance: Utterance) -> int | None:
        """The class number of an utterance; None when the protocol leaves it out."""
        return self._class_of(utterance.label)

    def labels_of(self, utterances: Sequence[Utterance]) -> list[int | None]:
        """`label_of` each utterance, in order."""
        from dual_hpc.evaluation.protocols.division import LEFT_OUT

        return [None if number == LEFT_OUT else number for number in self.class_numbers(utterances).tolist()]

    def class_numbers(self, utterances: Sequence[Utterance]) -> Indices:
        """`label_of` each utterance, i64 [n]; `division.LEFT_OUT` when the protocol leaves it out."""
        from dual_hpc.evaluation.protocols import division

        return division.class_numbers(utterances, self._class_of)

    def _class_of(self, label: str | None) -> int | None:
        return None if label is None else self.label_map.get(label.strip().lower())

    def with_classes(self, classes: Sequence[str]) -> Protocol:
        """The same protocol over given classes, each of which is its own label."""
        return replace(self, classes=tuple(classes), label_map={name: number for number, name in enumerate(classes)})

    def with_class_map(self, classes: Mapping[str, Iterable[str]]) -> Protocol:
        """The same protocol over other classes: name -> the labels, as the corpus spells them, that belong to it."""
        return replace(self, classes=tuple(classes), label_map=_numbers(classes))

    def with_groups(self, groups: GroupSplit, utterances: Sequence[Utterance]) -> Protocol:
        """The same protocol, divided by groups; its folds are those of the division of these utterances."""
        labelled = (self.class_numbers(utterances) >= 0).nonzero()[0]
        return replace(self, groups=groups, folds=groups.fold_numbers(utterances, labelled))

    def with_labels_of(self, utterances: Sequence[Utterance]) -> Protocol:
        """The same protocol over the sorted labels of these utterances; its folds are their sessions."""
        from dual_hpc.data.format.utterances import coded
        from dual_hpc.evaluation.protocols.division import sessions_without_split

        labels = {(label or "").strip().lower() for label in coded(utterances, "label")[1]} - _NO_MAJORITY
        sessions = sessions_without_split(utterances)
        return replace(self.with_classes(sorted(labels)), folds=self.folds or tuple(sessions))

    def split(self, utterances: Sequence[Utterance], data: DataConfig) -> Split:
        """The positions that train, validate and test; disjoint, each ascending.

        Where the corpus names no validation part, one is drawn from the training pool by `data.validation`.

        Raises:
            UserError: other corpus than the protocol's, no such fold, no usable label, no split to be made, nothing to
                train on.
        """
        return {name: numbers.tolist() for name, numbers in self.divide(utterances, data).items()}

    @property
    def soft(self) -> bool:
        """Training is on the distribution of the raters' votes, not on the label."""
        return False

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Of valence, arousal and dominance, what is learned beside the classes, in this order."""
        return ()

    @property
    def self_reports(self) -> bool:
        """What actors say of themselves counts among the votes."""
        return False

    def validates(self, data: DataConfig) -> str:
        """What chooses the weights, in words for a report."""
        return f"the corpus's own, else drawn by {data.validation} from the training part"

    def labels_in(self, corpus: str) -> Mapping[str, int]:
        """A corpus's labels, in lower case -> class number."""
        return self.label_map

    def on(self, utterances: Sequence[Utterance]) -> Protocol:
        """The same protocol with the folds that it has on these utterances."""
        return self

    def told(self, utterances: Sequence[Utterance], data: DataConfig) -> list[str]:
        """What whoever reads a score must know of the division, as sentences: what the test part shares with others."""
        from dual_hpc.evaluation.protocols.leakage import shared_with_test

        return shared_with_test(utterances, self.divide(utterances, data))

    def repeated(self, utterances: Sequence[Utterance], numbers: Indices) -> Indices:
        """Positions that train, each as often as it is read in an epoch, ascending."""
        return numbers

    def divide(self, utterances: Sequence[Utterance], data: DataConfig) -> dict[str, Indices]:
        """As `split`, in arrays: for data sets of millions."""
        from dual_hpc.evaluation.protocols.leakage import check_samples

        parts = self._divide(utterances, data)
        check_samples(utterances, parts, self.name)
        return parts

    def _divide(self, utterances: Sequence[Utterance], data: DataConfig) -> dict[str, Indices]:
        from dual_hpc.evaluation.protocols import division

        classes = self.class_numbers(utterances)
        labelled = (classes != division.LEFT_OUT).nonzero()[0]
        self._check(utterances, len(labelled), data.test_fold)
        if self.groups is not None:
            return self.groups.parts(utterances, labelled, classes[labelled], data)
        fold = data.test_fold if isinstance(data.test_fold, int) else 0  # of a name that `_check` knows
        found = division.parts_of(utterances, labelled, self.split_of, fold)
        if unknown := found.keys() - set(SPLITS):
            raise UserError(f"data.protocol: {self.name} has a part {min(unknown)!r}; use one of {', '.join(SPLITS)}")
        if "train" not in found:
            raise UserError(f"data.protocol: {self.name} leaves no utterance to train on (see data.test_fold)")
        if "validation" not in found:
            pool = found["train"]
            found["train"], found["validation"] = division.draw_validation(
                utterances, pool, classes[pool], data.validation, data.validation_fraction
            )
        return {name: found.get(name, labelled[:0]) for name in SPLITS}

    def _check(self, utterances: Sequence[Utterance], labelled: int, test_fold: int | str) -> None:
        from dual_hpc.data.format.utterances import coded

        found = sorted(coded(utterances, "corpus")[1])
        if self.corpus is not None and any(corpus.lower() != self.corpus for corpus in found):
            raise UserError(
                f"data.protocol: {self.name} is defined on {self.corpus}, but data.shards hold {', '.join(found)}; "
                "use the protocol of that corpus, or data.protocol=all"
            )
        if not labelled:
            labels = sorted({label or "none" for label in coded(utterances, "label")[1]})[:12]
            raise UserError(
                f"data.protocol: no utterance carries a label of {self.name} "
                f"({', '.join(self.classes) or 'any'}); labels found: {', '.join(labels) or 'no utterances at all'}"
            )
        # Protocol `all` takes its folds from the sessions that are there, of which there may be none.
        has_own = (self.corpus is not None or self.groups is not None) and bool(self.folds)
        if test_fold not in self.folds and (has_own or isinstance(test_fold, str)):
            known = ", ".join(map(str, self.folds)) or "a number"
            whose = self.name if self.groups is None else "data.split"
            raise UserError(f"data.test_fold: {test_fold} is not a fold of {whose}; use one of {known}")


def define(
    name: str,
    corpus: str | None,
    classes: Mapping[str, Iterable[str]],
    folds: Sequence[int] = (),
    split_of: Callable[[Utterance, int], str] = own_split_or_session,
) -> Protocol:
    """A protocol from its table: class -> the labels, as the corpus spells them, that belong to it."""
    return Protocol(name, corpus, tuple(classes), _numbers(classes), tuple(folds), split_of)


def _numbers(classes: Mapping[str, Iterable[str]]) -> dict[str, int]:
    return {label.strip().lower(): number for number, labels in enumerate(classes.values()) for label in labels}


PROTOCOLS = ProtocolRegistry()


def get_protocol(name: str, utterances: Sequence[Utterance] = ()) -> Protocol:
    """The protocol called `name`; one without classes of its own takes them, and its folds, from `utterances`.

    Raises:
        UserError: unknown name.
    """
    protocol = PROTOCOLS.get(name)
    return protocol.on(utterances) if protocol.classes else protocol.with_labels_of(utterances)


def protocol_of(data: DataConfig, utterances: Sequence[Utterance], classes: Sequence[str] | None = None) -> Protocol:
    """The protocol of a configuration: `data.protocol`, with the classes of `data.classes`, divided by `data.split`.

    Args:
        utterances: all of the shards.
        classes: of a model, where the protocol has none of its own; None: the labels found.

    Raises:
        UserError: unknown name, or a class of `data.classes` that no utterance belongs to.
    """
    protocol = named(data)
    if data.classes:
        protocol = protocol.with_class_map(data.classes).on(utterances)
        _check_class_map(data.classes, utterances)
    elif not protocol.classes:
        found = protocol.with_labels_of(utterances)
        protocol = found if classes is None else replace(found.with_classes(classes), folds=protocol.folds)
    else:
        protocol = protocol.on(utterances)
    if data.split:
        from dual_hpc.evaluation.protocols.group_split import GroupSplit

        protocol = protocol.with_groups(GroupSplit.of(data.split), utterances)
    return protocol


def named(data: DataConfig) -> Protocol:
    """The protocol that `data.protocol_definition` describes, else the one of the name; it has seen no utterance."""
    if not data.protocol_definition:
        return PROTOCOLS.get(data.protocol)
    from dual_hpc.evaluation.protocols.document import document_of
    from dual_hpc.evaluation.protocols.document_protocol import DocumentProtocol

    return DocumentProtocol.of(document_of(data.protocol_definition, f"data.protocol: {data.protocol}"))


def _check_class_map(classes: Mapping[str, Iterable[str]], utterances: Sequence[Utterance]) -> None:
    from dual_hpc.data.format.utterances import coded

    found = {(label or "").strip().lower() for label in coded(utterances, "label")[1]} - {""}
    for name, labels in classes.items():
        if not found & {label.strip().lower() for label in labels}:
            raise UserError(
                f"data.classes: no utterance has a label of {name} ({', '.join(labels)}); labels found: "
                f"{', '.join(sorted(found)[:12]) or 'none'}"
            )
