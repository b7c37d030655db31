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
from pathlib import Path

from dual_hpc.data.format.index import INDEX_NAME, Shard, ShardIndex, dataset_id
from dual_hpc.data.format.members import AUDIO, META, TEXT, VIDEO

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
before, resident, begun = memory("Pss:"), memory("VmRSS:"), time.process_time()
data = ShardDataset([sys.argv[1]])
opened = time.process_time()
utterances = data.utterances
protocol = get_protocol("meld7", utterances)
split = protocol.divide(utterances, DataConfig())
classes = protocol.class_numbers(utterances)
chosen = [Selection(data, split[part], classes[split[part]]) for part in ("train", "validation")]
done = time.process_time()
assert sum(map(len, split.values())) == len(data)
ready()
ready(opened=opened - begun, split=done - opened, pss=memory("Pss:") - before,
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
    """An index in the form in which `pack meld` writes it, with ten utterances per dialogue and a dozen speakers."""
    shards = [(f"shard-{number:06d}.tar", f"{number:064x}") for number in range(-(-samples // PER_SHARD))]
    identity = dataset_id(Shard(name=name, bytes=0, sha256=digest, samples=[]) for name, digest in shards)
    head = ShardIndex(dataset_id=identity, corpus="meld", options={}, shards=[]).model_dump_json()
    with open(folder / INDEX_NAME, "w", encoding="utf-8") as file:
        file.write(head.removesuffix("]}"))
        for number, (name, digest) in enumerate(shards):
            count = min(PER_SHARD, samples - number * PER_SHARD)
            rows = ",".join(_sample(number * PER_SHARD + row, row) for row in range(count))
            shard = f'{{"name":"{name}","bytes":{200_000 * count},"sha256":"{digest}","samples":[{rows}]}}'
            file.write("," * bool(number) + shard)
        file.write("]}")


def _sample(sample: int, row: int) -> str:
    """An `IndexedSample` as JSON."""
    dialogue, place = divmod(sample, 10)
    members = ",".join(
        f'"{extension}":[{row * 200_000 + number * 512},{size}]'
        for number, (extension, size) in enumerate(((META, 512), (AUDIO, 60_000), (VIDEO, 120_000), (TEXT, 48)))
    )
    sums = ",".join(f'"{extension}":{sample}' for extension in (META, AUDIO, VIDEO, TEXT))
    return (
        f'{{"meta":{{"key":"meld_{sample:09d}","corpus":"meld",'
        f'"split":"{("train", "train", "train", "dev", "test")[dialogue % 5]}",'
        f'"season":{sample % 9 + 1},"episode":{sample % 24 + 1},"dialogue":"train_dia{dialogue}","utterance":{place},'
        f'"speaker":"speaker {sample % 12}","label":"{_LABELS[sample % 7]}","duration":3.0,"fps":25.0,'
        f'"has_audio":true,"has_video":true,"has_text":true,'
        f'"sources":{{"video":"train/video/dia{dialogue}_utt{place}.mp4"}},"options":{{}}}},'
        f'"members":{{{members}}},"crc32":{{{sums}}}}}'
    )


_LABELS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
