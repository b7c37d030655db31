"""How a plan is cut into shards and shards into jobs. Pure: the result depends on nothing but the plan."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from dual_hpc.data.preparation.record import KEY
from shards.options import PackOptions
from shards.plan import Plan, Planned

FULL_SHARD = 256  # samples; some tens of megabytes, few enough files for an inode quota
FEWEST_SHARDS = 8  # of a small corpus, so that workers and array tasks have something to share
_ADDED = {"grid_hz": PackOptions().recorded()["grid_hz"]}  # options that came later, and their defaults


def shuffled(utterances: Sequence[Planned]) -> list[Planned]:
    """Utterances in the order of their keys' hashes: every shard is a fair sample of the corpus."""
    return sorted(utterances, key=lambda planned: hashlib.sha256(planned.key.encode()).digest())


def cut(utterances: Sequence[Planned], shard_samples: int) -> list[list[Planned]]:
    """Planned utterances of each shard; `shard_samples` 0 chooses by the corpus's size."""
    size = shard_samples or max(1, min(FULL_SHARD, math.ceil(len(utterances) / FEWEST_SHARDS)))
    return [list(utterances[at : at + size]) for at in range(0, len(utterances), size)]


def shard_name(number: int) -> str:
    """Name of a shard's tar."""
    return f"shard-{number:05d}.tar"


def share(count: int, index: int, of: int) -> range:
    """Numbers of the shards that task `index` of `of` packs."""
    assert 0 <= index < of, (index, of)
    return range(index, count, of)


def weight(utterances: Sequence[Planned]) -> float:
    """How much work utterances are, to begin with the most: their seconds where the plan tells them, else their bytes.

    What is heavy must not come last, while the other workers have nothing left to do.
    """
    total = 0.0
    for planned in utterances:
        source = planned.audio or planned.video
        assert source is not None, "a plan names audio or video"
        total += source.path.stat().st_size if source.end is None else source.end - (source.start or 0.0)
    return total


def fingerprint(plan: Plan, options: PackOptions) -> str:
    """Identity of a packing job: its options and what it will read. Sizes are taken for contents."""
    # What was added later and is not set must not make an earlier packing another one.
    chosen = {name: value for name, value in options.recorded().items() if _ADDED.get(name) != value}
    digest = hashlib.sha256(json.dumps({**chosen, **plan.choices}).encode())
    sizes: dict[str, int] = {}
    for planned in sorted(plan.utterances, key=lambda p: p.key):
        row = {name: value for name, value in asdict(planned).items() if name != "annotated_seconds" or value}
        for kind in ("audio", "video"):
            if row[kind] is not None:
                path = row[kind]["path"]
                row[kind]["path"] = plan.shown(path)
                row[kind]["bytes"] = sizes.setdefault(str(path), path.stat().st_size)
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()[:32]


def extraction_fingerprint(options: Mapping[str, str]) -> str:
    """Identity of an extraction: what its index records of what made the features."""
    # What was added later must not make an earlier extraction another one.
    made = {name: value for name, value in options.items() if name not in ("fingerprint", KEY, "encoders")}
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:32]
