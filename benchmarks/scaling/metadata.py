"""The metadata of samples: what one rank keeps and computes to open a data set and split it by a protocol."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from dual_hpc.data.format.index import IndexedSample, Shard, ShardIndex, dataset_id, write_index
from dual_hpc.data.format.members import AUDIO, META, TEXT, VIDEO
from dual_hpc.data.format.sample import Utterance

PER_SHARD = 2_000
# One rank, in a process of its own: as `dual_hpc.training.data` opens its data. Kilobytes and seconds of processor.
_RANK = """
import json, resource, sys, time
from dual_hpc.config.schema import DataConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.evaluation.protocols import get_protocol

def memory(what):
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith(what)))

before, begun = memory("VmRSS"), time.process_time()
data = ShardDataset([sys.argv[1]])
opened = time.process_time()
utterances = data.utterances
protocol = get_protocol("meld7", utterances)
split = protocol.split(utterances, DataConfig())
labels = protocol.labels_of(utterances)
del utterances
print(json.dumps({
    "open, s": opened - begun,
    "split, s": time.process_time() - opened,
    "peak, MiB": (memory("VmHWM") - before) / 1024,
    "kept, MiB": (memory("VmRSS") - before) / 1024,
    "samples": sum(map(len, split.values())),
}))
"""


def opening(samples: int) -> dict[str, float]:
    """A folder of `samples` utterances in the form of MELD, whose index alone exists."""
    with tempfile.TemporaryDirectory() as scratch:
        write_index(Path(scratch), pretended_index(samples))
        done = subprocess.run([sys.executable, "-c", _RANK, scratch], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    assert found.pop("samples") == samples
    return found


def pretended_index(samples: int) -> ShardIndex:
    """As `pack meld` writes it, with ten utterances per dialogue and a dozen speakers."""
    shards = [
        _shard(number, min(PER_SHARD, samples - first)) for number, first in enumerate(range(0, samples, PER_SHARD))
    ]
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
    return Shard(name=f"shard-{number:06d}.tar", bytes=200_000 * count, sha256=f"{number:064x}", samples=rows)
