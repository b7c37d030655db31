"""The metadata of samples: what one rank keeps and computes to open a data set and split it by a protocol.

A folder as an older version left it: only its index exists. One rank opens it first, and makes the columns for all;
then the ranks of a node open it at the same time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dual_hpc.data.format.index import INDEX_NAME, IndexedSample, Shard, ShardIndex, dataset_id
from dual_hpc.data.format.members import AUDIO, META, TEXT, VIDEO
from dual_hpc.data.format.sample import Utterance

PER_SHARD = 2_000
RANKS = 4
# One rank, in a process of its own: as `dual_hpc.training.data` opens its data. Seconds of processor, MiB. A line of
# input is waited for before each part, so that all ranks are there when one measures its share of the memory.
_RANK = """
import json, sys, time
from dual_hpc.config.schema import DataConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.sampling.selection import Selection
from dual_hpc.evaluation.protocols import get_protocol

def memory(what):
    files = ("/proc/self/status", "/proc/self/smaps_rollup")
    return next(int(line.split()[1]) / 1024 for file in files for line in open(file) if line.startswith(what))

def ready(**said):
    print(json.dumps(said), flush=True)
    sys.stdin.readline()

ready()
before, resident, begun, clock = memory("Pss:"), memory("VmRSS:"), time.process_time(), time.perf_counter()
data = ShardDataset([sys.argv[1]])
opened = time.process_time()
utterances = data.utterances
protocol = get_protocol("meld7", utterances)
split = protocol.divide(utterances, DataConfig())
classes = protocol.class_numbers(utterances)
chosen = [Selection(data, split[part], classes[split[part]]) for part in ("train", "validation")]
done, wall = time.process_time(), time.perf_counter() - clock
assert sum(map(len, split.values())) == len(data)
ready()
ready(opened=opened - begun, split=done - opened, wall=wall, pss=memory("Pss:") - before,
      peak=memory("VmHWM:") - resident)
"""


def opening(samples: int) -> dict[str, float]:
    """A folder of `samples` utterances in the form of MELD, whose index alone exists."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "shards")
        folder.mkdir()
        _write_index(folder, samples)
        (first,) = _ranks(folder, 1)
        ranks = _ranks(folder, RANKS)
        columns = sum(path.stat().st_size for path in Path(scratch, "dual-hpc").glob("*.columns"))  # 0: a small index
        return {
            "index, MiB": (folder / INDEX_NAME).stat().st_size / 2**20,
            "columns, MiB": columns / 2**20,
            "first start of an old folder, s": first["opened"] + first["split"],
            "first start: peak, MiB": first["peak"],
            f"next start, {RANKS} ranks: open, s": max(rank["opened"] for rank in ranks),
            f"next start, {RANKS} ranks: split, s": max(rank["split"] for rank in ranks),
            f"next start, {RANKS} ranks: on the clock, s": max(rank["wall"] for rank in ranks),
            f"next start, {RANKS} ranks: memory of each, MiB": max(rank["pss"] for rank in ranks),
        }


def _ranks(folder: Path, count: int) -> list[dict[str, float]]:
    """What each of `count` ranks says that open the folder together."""
    command = [sys.executable, "-c", _RANK, str(folder)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder.parent)}
    ranks = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(count)
    ]
    for part in range(3):
        said = [json.loads(rank.stdout.readline()) for rank in ranks if rank.stdout is not None]
        if part == 2:
            break
        for rank in ranks:
            assert rank.stdin is not None
            rank.stdin.write("\n")
            rank.stdin.flush()
    for rank in ranks:
        rank.communicate()
    return said


def _write_index(folder: Path, samples: int) -> None:
    """The bytes that `write_index` gives `pretended_index(samples)`, without its objects in memory."""
    shards = _shards(samples)
    identity = dataset_id(Shard(name=_name(n), bytes=0, sha256=_sha256(n), samples=[]) for n in range(_count(samples)))
    with open(folder / INDEX_NAME, "w", encoding="utf-8") as file:
        head = ShardIndex(dataset_id=identity, corpus="meld", options={}, shards=[])
        file.write(_json(head).removesuffix("]}"))
        for number, shard in enumerate(shards):
            file.write(("," if number else "") + _json(shard))
        file.write("]}")


def _json(model: ShardIndex | Shard) -> str:
    return json.dumps(model.model_dump(mode="json", exclude_none=True), ensure_ascii=False, separators=(",", ":"))


def _count(samples: int) -> int:
    return -(-samples // PER_SHARD)


def _shards(samples: int) -> Iterator[Shard]:
    return (_shard(number, min(PER_SHARD, samples - number * PER_SHARD)) for number in range(_count(samples)))


def pretended_index(samples: int) -> ShardIndex:
    """As `pack meld` writes it, with ten utterances per dialogue and a dozen speakers."""
    shards = list(_shards(samples))
    return ShardIndex(dataset_id=dataset_id(shards), corpus="meld", options={}, shards=shards)


def _shard(number: int, count: int) -> Shard:
    rows = []
    for row in range(count):
        sample = number * PER_SHARD + row
        meta = Utterance(
            key=f"meld_{sample:09d}",
            corpus="meld",
            split=("train", "train", "train", "dev", "test")[sample // 10 % 5],
            season=sample % 9 + 1,
            episode=sample % 24 + 1,
            dialogue=f"train_dia{sample // 10}",
            utterance=sample % 10,
            speaker=f"speaker {sample % 12}",
            label=("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")[sample % 7],
            duration=3.0,
            fps=25.0,
            sources={"video": f"train/video/dia{sample // 10}_utt{sample % 10}.mp4"},
        )
        sizes = {META: 512, AUDIO: 60_000, VIDEO: 120_000, TEXT: 48}
        members = {
            extension: (row * 200_000 + place * 512, size) for place, (extension, size) in enumerate(sizes.items())
        }
        rows.append(IndexedSample(meta=meta, members=members, crc32=dict.fromkeys(members, sample)))
    return Shard(name=_name(number), bytes=200_000 * count, sha256=_sha256(number), samples=rows)


def _name(number: int) -> str:
    return f"shard-{number:06d}.tar"


def _sha256(number: int) -> str:
    return f"{number:064x}"
