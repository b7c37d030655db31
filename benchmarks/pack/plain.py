"""The peer: one process, one loop, `webdataset.ShardWriter`; no hashes, no index, no report, no restart."""

from __future__ import annotations

import sys
from pathlib import Path

from dual_hpc.data.decoding.container import UnreadableMedia
from shards.build import build_sample
from shards.corpora import read_corpus
from shards.layout import shuffled
from shards.options import PackOptions


def main(corpus: str, source: Path, out: Path, part: int, parts: int) -> None:
    """Pack every `parts`-th utterance: several such loops at once show what the machine gives to several processes."""
    sys.modules["torch"] = None  # type: ignore[assignment]  # webdataset writes as well without it, and starts sooner
    from webdataset import ShardWriter

    out.mkdir(parents=True, exist_ok=True)
    plan = read_corpus(corpus, source)
    with ShardWriter(str(out / f"part{part}-%05d.tar"), maxcount=256, verbose=0) as writer:
        for planned in shuffled(plan.utterances)[part::parts]:
            try:
                sample = build_sample(planned, plan.root, PackOptions())
            except UnreadableMedia:
                continue
            meta = sample.meta.model_dump_json(exclude_none=True).encode()
            writer.write({"__key__": sample.meta.key, "json": meta, **sample.members})


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
