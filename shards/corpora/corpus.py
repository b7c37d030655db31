"""What a corpus is to the packer: its reader, what its release counts, and the options that only it takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dual_hpc.errors import UserError
from dual_hpc.registry import Registry
from shards.plan import Plan

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance

FEATURES = "features"  # in place of a corpus: arrays that somebody else made (`foreign_features.py`)
READER_OPTIONS = ("name", "encoding", "test_twins", "listener")
OPTIONS = (*READER_OPTIONS, "named_side", "picture_rows")  # of `dual-hpc pack`, which not every corpus takes


def split_and_label(utterance: Utterance) -> list[str]:
    """The groups of a corpus that is divided into splits."""
    return [f"{utterance.split or 'no split'} {utterance.label or 'no label'}"]


@dataclass(frozen=True)
class Corpus:
    """A corpus that can be packed.

    Attributes:
        title: its name in help and messages.
        reader: its folder (or manifest) -> its plan; no media is decoded. With the option `name` it takes the corpus's
            name as a second argument, with the other reader options arguments of these names; None: not given.
        protocols: the values of `data.protocol` that are defined on it; the first is the usual one.
        published: group -> number of utterances, as its papers and files count; empty: not known.
        groups_of: the groups that an utterance is counted in.
        options: of `OPTIONS`, those that it takes.
    """

    title: str
    reader: Callable[..., Plan]
    protocols: tuple[str, ...] = ("all",)
    published: Mapping[str, int] = field(default_factory=dict)
    groups_of: Callable[[Utterance], Iterable[str]] = split_and_label
    options: tuple[str, ...] = ()

    def read(self, source: Path, name: str | None = None, **choices: str | None) -> Plan:
        """The plan of a folder (or manifest).

        Args:
            choices: reader options besides `name`; those that it does not take must be None.

        Raises:
            UserError: it does not exist, is not this corpus, or an option is not one of its.
        """
        for option, value in choices.items():
            if value is not None and option not in self.options:
                raise UserError(f"--{option.replace('_', '-')}: {self.title} does not take it; leave it out")
        given = {option: value for option, value in choices.items() if value is not None}
        return self.reader(source, name, **given) if "name" in self.options else self.reader(source, **given)

    def count(self, utterances: Iterable[Utterance]) -> dict[str, int]:
        """Group -> number of utterances, by name."""
        found = Counter(group for utterance in utterances for group in self.groups_of(utterance))
        return dict(sorted(found.items()))

    def differences(self, found: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """Group -> (published, found) where they differ; empty where nothing is published."""
        published = self.published
        return {
            group: (published.get(group, 0), found.get(group, 0))
            for group in (*published, *(g for g in found if g not in published))
            if published and published.get(group, 0) != found.get(group, 0)
        }


CORPORA: Registry[Corpus] = Registry("corpus", "corpus")
