"""What an index says of its samples, in columns: two hundred bytes per sample instead of five thousand.

The index is the truth; columns are made from it, and say the same. They can lie in a file that all ranks of a node map
(`columns_file.py`), so that it takes memory once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

from dual_hpc.data.format.coded_column import CodedColumn, CodedColumnBuilder
from dual_hpc.data.format.sample import LONGEST_KEY, Utterance, is_valid_key
from dual_hpc.data.format.text_column import TextColumn

if TYPE_CHECKING:
    from dual_hpc.data.format.index import Shard, ShardIndex

_SINGLE = ("key", "duration", "sources")  # fields in which nearly every sample has another value
CODED = tuple(name for name in Utterance.model_fields if name not in _SINGLE)
_LARGEST_OFFSET = 2**62


class ShardFile(NamedTuple):
    """One tar."""

    name: str
    bytes: int
    sha256: str
    samples: int


@dataclass(frozen=True)
class Columns:
    """The samples of one folder, n of them with m members, in the order of its index.

    Attributes:
        dataset_id, corpus, kind, options: as in the index.
        shards: its tars; each holds the next `samples` samples.
        keys: of each sample.
        durations: seconds, f64 [n].
        sources: JSON of each sample's `sources`.
        fields: the other fields of `Utterance`, by name.
        layouts: the different lists of members that samples have, each as extensions in order.
        layout_of: number of each sample's layout, [n].
        member_end: where each sample's members end in `spans`, i64 [n].
        spans: offset in the tar and bytes of each member, i64 [m, 2].
        crc32: of each member, 0 where the index has none, u32 [m].
    """

    dataset_id: str
    corpus: str
    kind: Literal["media", "features"]
    options: dict[str, str]
    shards: list[ShardFile]
    keys: TextColumn
    durations: NDArray[np.float64]
    sources: TextColumn
    fields: Mapping[str, CodedColumn]
    layouts: list[tuple[str, ...]]
    layout_of: NDArray[np.int32]
    member_end: NDArray[np.int64]
    spans: NDArray[np.int64]
    crc32: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.durations)

    @classmethod
    def of(cls, index: ShardIndex, shards: Iterable[Shard] | None = None) -> Columns:
        """The columns of an index.

        Args:
            shards: where they come one by one, instead of those of the index.
        """
        builder = _Builder()
        for shard in index.shards if shards is None else shards:
            builder.add(shard)
        return builder.build(index)

    def meta(self, number: int, values: Mapping[str, Any]) -> Utterance:
        """The metadata of sample `number`, with its `values` of the coded fields.

        Raises:
            ValueError: the columns hold something else than metadata.
        """
        own = {name: value for name, value in values.items() if value is not None}
        key, sources = self.keys[number].decode(), json.loads(self.sources[number])
        return Utterance(key=key, duration=float(self.durations[number]), sources=sources, **own)

    def is_sound(self) -> bool:
        """Whether the columns fit each other, so that no sample lies outside of them: a file may say anything."""
        n, m = len(self.durations), len(self.crc32)
        fields = list(self.fields.values())
        lengths = [len(self.keys), len(self.sources), len(self.layout_of), len(self.member_end)]
        lengths += [len(field.codes) for field in fields]
        if any(length != n for length in lengths) or self.spans.shape != (m, 2) or set(self.fields) != set(CODED):
            return False
        if sum(shard.samples for shard in self.shards) != n or any(shard.samples < 0 for shard in self.shards):
            return False
        if not (self.keys.is_sound() and self.sources.is_sound() and all(field.is_sound() for field in fields)):
            return False
        if n and not (self.layout_of.min() >= 0 and self.layout_of.max() < len(self.layouts)):
            return False
        sizes = np.array([len(layout) for layout in self.layouts], np.int64)[self.layout_of] if n else np.zeros(0)
        return (
            bool((np.diff(self.member_end, prepend=0) == sizes).all())
            and (int(self.member_end[-1]) if n else 0) == m
            and bool(((self.spans >= 0) & (self.spans <= _LARGEST_OFFSET)).all())
            and bool((np.isfinite(self.durations) & (self.durations > 0)).all())
            and _are_keys(self.keys)
        )


def _are_keys(column: TextColumn) -> bool:
    """`is_valid_key` of each."""
    lengths = np.diff(column.offsets)
    if not (_IN_KEY[column.data].all() and ((lengths >= 1) & (lengths <= LONGEST_KEY)).all()):
        return False
    return bool(_BEGINS_KEY[column.data[column.offsets[:-1]]].all())


_BEGINS_KEY: NDArray[np.bool_] = np.array([is_valid_key(chr(code)) for code in range(256)])
_IN_KEY: NDArray[np.bool_] = np.array([is_valid_key("k" + chr(code)) for code in range(256)])


class _Builder:
    """Takes shard after shard, so that their metadata are never all in memory."""

    def __init__(self) -> None:
        self._shards: list[ShardFile] = []
        self._fields = {name: CodedColumnBuilder() for name in CODED}
        self._keys: list[TextColumn] = []
        self._sources: list[TextColumn] = []
        self._durations: list[NDArray[np.float64]] = []
        self._layouts: dict[tuple[str, ...], int] = {}
        self._layout_of: list[NDArray[np.int32]] = []
        self._spans: list[NDArray[np.int64]] = []
        self._crc32: list[NDArray[np.uint32]] = []

    def add(self, shard: Shard) -> None:
        samples, metas = shard.samples, [sample.meta for sample in shard.samples]
        self._shards.append(ShardFile(shard.name, shard.bytes, shard.sha256, len(samples)))
        rows = list(map(attrgetter(*CODED), metas))
        for field, values in zip(self._fields.values(), zip(*rows, strict=True), strict=bool(rows)):
            field.add(values)
        self._keys.append(TextColumn.of(meta.key.encode() for meta in metas))
        self._sources.append(TextColumn.of(map(_json, (meta.sources for meta in metas))))
        self._durations.append(np.array([meta.duration for meta in metas], np.float64))
        layouts = [self._layouts.setdefault(tuple(sample.members), len(self._layouts)) for sample in samples]
        self._layout_of.append(np.array(layouts, np.int32))
        spans = [end for sample in samples for span in sample.members.values() for end in span]
        self._spans.append(np.array(spans, np.int64).reshape(-1, 2))
        sums = [sample.crc32.get(extension, 0) for sample in samples for extension in sample.members]
        self._crc32.append(np.array(sums, np.uint32))

    def build(self, index: ShardIndex) -> Columns:
        layout_of = _taken(self._layout_of, np.zeros(0, np.int32))
        sizes = np.array([len(layout) for layout in self._layouts], np.int64)
        return Columns(
            dataset_id=index.dataset_id,
            corpus=index.corpus,
            kind=index.kind,
            options=index.options,
            shards=self._shards,
            keys=TextColumn.taken(self._keys),
            durations=_taken(self._durations, np.zeros(0)),
            sources=TextColumn.taken(self._sources),
            fields={name: field.build() for name, field in self._fields.items()},
            layouts=list(self._layouts),
            layout_of=layout_of,
            member_end=np.cumsum(sizes[layout_of]),
            spans=_taken(self._spans, np.zeros((0, 2), np.int64)),
            crc32=_taken(self._crc32, np.zeros(0, np.uint32)),
        )


def _json(value: dict[str, str]) -> bytes:
    """As ASCII."""
    text = to_json(value)
    return text if text.isascii() else json.dumps(value).encode()


def _taken(parts: list[NDArray[Any]], empty: NDArray[Any]) -> NDArray[Any]:
    """The parts as one array; the list is emptied, so that they are not held twice for long."""
    joined = np.concatenate([empty, *parts])
    parts.clear()
    return joined
