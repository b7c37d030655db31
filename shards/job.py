"""One shard's work, as it runs in a worker process."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from dual_hpc.data.decoding.container import UnreadableMedia
from dual_hpc.data.preparation.encode import CODING
from shards.build import build_sample
from shards.corpora.text import clean_line
from shards.layout import shard_name
from shards.options import PackOptions
from shards.pack_state import FinishedShard, PackState
from shards.plan import Planned, shown
from shards.writer import ShardWriter


@dataclass(frozen=True)
class ShardJob:
    """A shard to pack."""

    number: int
    utterances: list[Planned]
    root: Path
    out: Path
    options: PackOptions


def pack_shard(job: ShardJob, begins: Callable[[str], None], crashing_keys: Collection[str] = ()) -> None:
    """Pack one shard and record it; unreadable utterances are left out with their reason.

    Args:
        begins: called with the key of each utterance before it is decoded.
        crashing_keys: keys whose decoding has crashed a worker.
    """
    state = PackState(job.out)
    skips: list[tuple[str, str]] = []
    writer = ShardWriter(job.out, shard_name(job.number), state.temporary(job.number))
    with writer:
        for planned in job.utterances:
            begins(planned.key)
            if planned.key in crashing_keys:
                names = dict.fromkeys(shown(s.path, job.root) for s in (planned.audio, planned.video) if s is not None)
                skips.append((planned.key, f"{', '.join(names)}: the decoder crashed on it or never ended"))
                continue
            try:
                sample = build_sample(planned, job.root, job.options)
            except UnreadableMedia as error:
                # Reports name files as the corpus does, not as this machine does.
                skips.append((planned.key, clean_line(str(error).replace(f"{job.root}/", ""))))
            else:
                writer.add(sample)
    if writer.samples:
        state.finish(job.number, FinishedShard(shard=writer.shard, skips=skips, coding=CODING))
        writer.commit()
    else:
        writer.temporary.unlink(missing_ok=True)
        state.finish(job.number, FinishedShard(shard=None, skips=skips, coding=CODING))
