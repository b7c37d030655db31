"""`python -m benchmarks.loader.elastic`: an epoch that goes on with other numbers of ranks, beside LitData.

Ranks are taken one after the other, by their numbers, which is all that both loaders know of the others; each goes on
with the state that rank 0 had when the epoch was interrupted. LitData is told by environment variables, as torchrun
does. Compared are the global batches with those of an epoch that nothing interrupts: which are equal, and which samples
come twice in place of others.
"""

from __future__ import annotations

import copy
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.loader import corpus
from benchmarks.loader.peers import CONFIG
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.loader import TrainLoader

SAMPLES, BATCH, SEED = 504, 24, 1
STEPS = SAMPLES // BATCH
# (ranks, steps until the interruption) one after the other; None: to the end of the epoch.
PLANS: dict[str, tuple[tuple[int, int | None], ...]] = {
    "4, then 2 ranks": ((4, 6), (2, None)),
    "4, then 3 ranks": ((4, 6), (3, None)),
    "2, then 4 ranks": ((2, 6), (4, None)),
    "4, then 2, then 4 ranks": ((4, 6), (2, 4), (4, None)),
    "4, then 3, then 2 ranks": ((4, 6), (3, 5), (2, None)),
}
# The samples of a rank's micro-batches, step by step, and its state after the last that was taken.
Rank = tuple[Iterator[list[str]], Callable[[], Any]]


def ours(folder: Path, rank: int, ranks: int, state: Any) -> Rank:
    dataset = ShardDataset([folder / "shards"])
    numbers = range(len(dataset))
    config = CONFIG.model_copy(update={"workers": 0, "global_batch": BATCH, "micro_batch": BATCH // ranks})
    loader = TrainLoader(dataset, numbers, numbers, config, None, None, SEED, rank, ranks, state)
    batches = ([key for batch in step for key in batch["keys"]] for step in loader)
    return batches, loader.state_dict


def litdata(folder: Path, rank: int, ranks: int, state: Any) -> Rank:
    from litdata import StreamingDataLoader, StreamingDataset

    os.environ |= {"WORLD_SIZE": str(ranks), "GLOBAL_RANK": str(rank)}
    data = StreamingDataset(str(folder / "litdata"), shuffle=True, drop_last=True, seed=SEED)
    loader = StreamingDataLoader(data, batch_size=BATCH // ranks, num_workers=0, collate_fn=_keys)
    if state is not None:
        loader.load_state_dict(state)
    return iter(loader), loader.state_dict


def _keys(rows: list[dict[str, Any]]) -> list[str]:
    return [str(row["key"]) for row in rows]


def write(folder: Path) -> None:
    """shards/, and litdata/ with chunks of as many samples, each with its key."""
    from litdata.streaming.writer import BinaryWriter

    clips = list(corpus.features(SAMPLES))
    corpus.write_shards(folder / "shards", "features", clips)
    (folder / "litdata").mkdir()
    chunks = BinaryWriter(str(folder / "litdata"), chunk_size=corpus.PER_SHARD)
    for number, (_, members) in enumerate(clips):
        chunks[number] = {"key": number} | {name.replace(".", "_"): data for name, data in members.items()}
    chunks.done()
    chunks.merge()


def epoch(contestant: Callable[..., Rank], folder: Path, plan: tuple[tuple[int, int | None], ...]) -> list[list[str]]:
    """The global batches of one epoch, each sorted."""
    found: list[list[str]] = []
    state: Any = None
    for ranks, steps in plan:
        left = STEPS - len(found) if steps is None else steps
        parts, states = [], []
        for rank in range(ranks):
            batches, state_of = contestant(folder, rank, ranks, copy.deepcopy(state))
            parts.append(list(itertools.islice(batches, left)))
            states.append(state_of())
        state = states[0]
        found += [sorted(itertools.chain(*step)) for step in zip(*parts, strict=False)]  # what all ranks have
    return found


def main() -> None:
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write(folder)
        for case, plan in PLANS.items():
            figures: dict[str, tuple[int, int]] = {}
            for contestant in (ours, litdata):
                whole = epoch(contestant, folder, ((plan[0][0], None),))
                began = time.process_time()
                found = epoch(contestant, folder, plan)
                keys = list(itertools.chain(*found))
                equal = sum(a == b for a, b in zip(found, whole, strict=False))
                figures[contestant.__name__] = (equal, len(keys) - len(set(keys)))
                print(case, contestant.__name__, figures[contestant.__name__], f"{time.process_time() - began:.2f} s")
            (equal, twice), (peer_equal, peer_twice) = figures["ours"], figures["litdata"]
            rows.append(record.row(f"{case}: global batches as without interruption", equal, peer_equal, "litdata",
                                   f"of {STEPS}"))  # fmt: skip
            rows.append(record.row(f"{case}: samples that come twice, in place of others", twice, peer_twice, "litdata",
                                   f"of {SAMPLES}", smaller_is_better=True))  # fmt: skip
    import litdata as peer

    note = (
        f"LitData {peer.__version__}. {SAMPLES} samples in parts of {corpus.PER_SHARD}, global batches of {BATCH}, no "
        "worker processes; each rank reads a copy of rank 0's state, as from a file."
    )
    print(record.write("elastic", rows, note, module="loader.elastic").with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
