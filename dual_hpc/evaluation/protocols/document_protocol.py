"""A protocol that a YAML file describes: the file's rules, applied to columns of the metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, get_args

from dual_hpc.errors import UserError
from dual_hpc.evaluation.protocols.document import ANY, CorpusRules, Dimension, ProtocolDocument
from dual_hpc.evaluation.protocols.document_values import as_text
from dual_hpc.evaluation.protocols.protocol import Protocol

if TYPE_CHECKING:
    from dual_hpc.config.schema import DataConfig
    from dual_hpc.data.format.sample import Utterance
    from dual_hpc.evaluation.protocols.division import Indices


@dataclass(frozen=True)
class DocumentProtocol(Protocol):
    """The protocol of a document; `folds` are known once it has seen utterances (`on`)."""

    document: ProtocolDocument | None = None

    @classmethod
    def of(cls, document: ProtocolDocument) -> DocumentProtocol:
        """As written, before any utterance is known."""
        numbers = {name: number for number, name in enumerate(document.classes)}
        (first, *others) = document.corpora.values()
        labels: dict[str, int] = {}
        if not others and first.label == "label":
            labels = {one: numbers[name] for name, some in first.classes.items() for one in some}
        return cls(document.name, document.only_corpus, document.classes, labels, document=document)

    @property
    def rules(self) -> ProtocolDocument:
        """The document."""
        assert self.document is not None, "made by `of`"
        return self.document

    @property
    def soft(self) -> bool:
        """As that of `Protocol`."""
        return self.rules.target == "soft"

    @property
    def dimensions(self) -> tuple[str, ...]:
        """As that of `Protocol`."""
        if self.rules.target != "regression":
            return ()
        every: tuple[str, ...] = get_args(Dimension)
        return tuple(name for name in every if name in self.rules.dimensions) or every  # in the order of the outputs

    @property
    def self_reports(self) -> bool:
        """As that of `Protocol`."""
        return self.rules.self_reports

    def validates(self, data: DataConfig) -> str:
        """As that of `Protocol`: the document's rule."""
        rule = self.rules.validation
        if rule.fold is not None:
            return f"the fold after the test fold, as {self.name} says"
        if rule.same is not None:
            return f"what has the {rule.same} of the test part and does not test, as {self.name} says"
        if rule.values:
            return f"the {self.rules.folds.by} that {self.name} names for the test fold"
        drawn = f"drawn by {rule.by or data.validation} from the training part"
        has_parts = self.rules.folds.own or self.rules.folds.parts or self.rules.folds.file
        return f"the part that {self.name} names, else {drawn}" if has_parts else drawn

    def labels_in(self, corpus: str) -> Mapping[str, int]:
        """As that of `Protocol`."""
        rules = self.rules_of(corpus)
        numbers = {name: number for number, name in enumerate(self.classes)}
        return {label: numbers[name] for name, some in (rules.classes if rules else {}).items() for label in some}

    def on(self, utterances: Sequence[Utterance]) -> DocumentProtocol:
        """The same protocol with the folds that it has on these utterances."""
        from dual_hpc.evaluation.protocols.document_division import fold_names

        labelled = (self.class_numbers(utterances) >= 0).nonzero()[0]
        return replace(self, folds=fold_names(self.rules.folds, utterances, labelled))

    def with_class_map(self, classes: Mapping[str, Iterable[str]]) -> Protocol:
        """As that of `Protocol`; the corpora keep their other rules."""
        table = {name: [as_text(label) for label in labels] for name, labels in classes.items()}
        corpora = {name: rules.model_copy(update={"classes": table}) for name, rules in self.rules.corpora.items()}
        changed = self.rules.model_copy(update={"corpora": corpora})
        return replace(DocumentProtocol.of(changed), folds=self.folds, groups=self.groups)

    def label_of(self, utterance: Utterance) -> int | None:
        """The class number of an utterance; None when the protocol leaves it out."""
        (number,) = self.labels_of([utterance])
        return number

    def class_numbers(self, utterances: Sequence[Utterance]) -> Indices:
        """As that of `Protocol`: each corpus by its own labels, in its own column."""
        import numpy as np

        from dual_hpc.evaluation.protocols.columns import among, column
        from dual_hpc.evaluation.protocols.division import LEFT_OUT

        found = np.full(len(utterances), LEFT_OUT, np.int64)
        if not len(utterances):
            return found
        corpus_of, corpora = column(utterances, "corpus")
        for code, corpus in enumerate(corpora):
            rules = self.rules_of(corpus or "")
            if rules is None:
                continue
            own = corpus_of == code
            codes, labels = column(utterances, rules.label)
            class_of = self.labels_in(corpus or "")
            given = np.array(
                [LEFT_OUT if label is None else class_of.get(label, LEFT_OUT) for label in labels], np.int64
            )
            if rules.where:
                own &= among(utterances, rules.where)
            for name, values in rules.exclude.items():
                own &= ~among(utterances, {name: values})
            found[own] = given[codes[own]]
        return found

    def rules_of(self, corpus: str) -> CorpusRules | None:
        """The rules of a corpus; None: it is not part of the protocol."""
        return self.rules.corpora.get(as_text(corpus), self.rules.corpora.get(ANY))

    def divide(self, utterances: Sequence[Utterance], data: DataConfig) -> dict[str, Indices]:
        """As that of `Protocol`.

        Raises:
            UserError: moreover, a speaker or dialogue is in two parts and the protocol does not allow it.
        """
        if self.groups is not None:
            return super().divide(utterances, data)
        from dual_hpc.evaluation.protocols.leakage import check_leakage, check_samples

        parts = self._parts(utterances, data)
        check_samples(utterances, parts, self.name)
        check_leakage(utterances, parts, self.rules.allowed, self.name)
        return parts

    def told(self, utterances: Sequence[Utterance], data: DataConfig) -> list[str]:
        """As that of `Protocol`: what the protocol allows to leak."""
        if self.groups is not None:
            return super().told(utterances, data)
        from dual_hpc.evaluation.protocols.leakage import check_leakage

        return check_leakage(utterances, self._parts(utterances, data), self.rules.allowed, self.name)

    def repeated(self, utterances: Sequence[Utterance], numbers: Indices) -> Indices:
        """As that of `Protocol`: by the weights of the corpora."""
        weights = {name: rules.weight for name, rules in self.rules.corpora.items()}
        if len(set(weights.values())) == 1:
            return numbers
        from dual_hpc.evaluation.protocols.document_division import repeated_by_weight

        return repeated_by_weight(utterances, numbers, weights)

    def _parts(self, utterances: Sequence[Utterance], data: DataConfig) -> dict[str, Indices]:
        from dual_hpc.evaluation.protocols.columns import column, some
        from dual_hpc.evaluation.protocols.document_division import divided

        classes = self.class_numbers(utterances)
        labelled = (classes >= 0).nonzero()[0]
        found = [str(name) for name in column(utterances, "corpus")[1]] if len(utterances) else []
        if ANY not in self.rules.corpora and (foreign := [name for name in found if self.rules_of(name) is None]):
            raise UserError(
                f"data.protocol: {self.name} is defined on {', '.join(self.rules.corpora)}, but data.shards hold "
                f"{some(foreign)}; leave those shards out, or use a protocol of that corpus"
            )
        replace(self, folds=())._check(utterances, len(labelled), 0)
        folds = self.folds or self.on(utterances).folds
        if folds and as_text(data.test_fold) not in map(as_text, folds):
            known = ", ".join(map(str, folds))
            raise UserError(f"data.test_fold: {data.test_fold} is not a fold of {self.name}; use one of {known}")
        return divided(self.rules, utterances, labelled, classes[labelled], data)
