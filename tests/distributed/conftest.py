"""Real ranks: one process each, gloo over the loopback."""

from __future__ import annotations

import hashlib
import io
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from dual_hpc.config import load_config
from dual_hpc.data.format.index import IndexedSample, Shard, ShardIndex, dataset_id, write_index
from dual_hpc.data.format.sample import AUDIO_RATE, Utterance
from dual_hpc.run.directory import RunDir
from launch.job.ports import LOOPBACK, free_port
from tests.distributed.fork_server import ForkServer, Rank, shared

WORKERS = Path(__file__).parent / "workers"


@dataclass
class Ranks:
    """Running processes of one group, with their output in files."""

    processes: list[Rank]
    outputs: list[Path]

    def wait(self, timeout: float = 1200) -> list[int]:
        """Exit codes; the rest is killed as soon as one rank fails, as a launcher does."""
        deadline = time.monotonic() + timeout
        while any(process.poll() is None for process in self.processes):
            failed = any(process.poll() not in (None, 0) for process in self.processes)
            if failed or time.monotonic() > deadline:
                time.sleep(0.5)
                self.kill()
                break
            time.sleep(0.05)
        return [process.wait() for process in self.processes]

    def check(self, timeout: float = 1200) -> list[str]:
        """Outputs of ranks that must all succeed."""
        codes = self.wait(timeout)
        texts = [path.read_text(errors="replace") for path in self.outputs]
        assert codes == [0] * len(codes), "\n".join(text[-3000:] for text in texts)
        return texts

    def kill(self) -> None:
        for process in self.processes:
            process.kill()


@pytest.fixture(scope="session")
def start_ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Ranks]]:
    """Start `workers/NAME.py` with the given arguments as so many ranks, by default by the shared fork server."""
    started: list[Ranks] = []
    logs = tmp_path_factory.mktemp("ranks")

    def start(
        name: str, world_size: int, *arguments: object, fork_server: ForkServer | None = None, **environ: str
    ) -> Ranks:
        where = {"MASTER_ADDR": LOOPBACK, "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(world_size)}
        processes, outputs = [], []
        for rank in range(world_size):
            env = {**where, "RANK": str(rank), "LOCAL_RANK": str(rank), **environ}
            outputs.append(logs / f"ranks{len(started)}-{rank}.log")
            processes.append((fork_server or shared()).start(WORKERS / f"{name}.py", arguments, env, outputs[-1]))
        started.append(Ranks(processes, outputs))
        return started[-1]

    yield start
    for ranks in started:
        ranks.kill()


@pytest.fixture(scope="session")
def tiny_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 short clips in two shards, 20 of them in the training split; some lack a modality."""
    folder = tmp_path_factory.mktemp("shards")
    written = []
    for number in range(2):
        path = folder / f"tiny-{number:05d}.tar"
        clips = [_utterance(number, place) for place in range(12)]
        with tarfile.open(path, "w") as tar:
            for meta in clips:
                for extension, data in _members(meta).items():
                    info = tarfile.TarInfo(f"{meta.key}.{extension}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        with tarfile.open(path) as tar:
            where = {member.name: (member.offset_data, member.size) for member in tar.getmembers()}
        samples = [
            IndexedSample(
                meta=meta,
                members={name.split(".")[1]: at for name, at in where.items() if name.split(".")[0] == meta.key},
            )
            for meta in clips
        ]
        data = path.read_bytes()
        written.append(Shard(name=path.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), samples=samples))
    write_index(folder, ShardIndex(dataset_id=dataset_id(written), corpus="tiny", options={}, shards=written))
    return folder


def _utterance(shard: int, place: int) -> Utterance:
    return Utterance(
        key=f"u{shard}_{place}",
        corpus="tiny",
        split="dev" if place >= 10 else "train",
        dialogue=f"d{shard}_{place // 4}",
        utterance=place,
        speaker=f"s{place % 3}",
        label=("angry", "happy", "sad")[place % 3],
        duration=0.4 + 0.05 * (place % 5),
        fps=10,
        has_audio=place != 3,
        has_video=place != 4,
        has_text=place != 5,
    )


def _members(meta: Utterance) -> dict[str, bytes]:
    """Noise whose loudness, and pictures whose grey, depend on the label."""
    number = ("angry", "happy", "sad").index(str(meta.label))
    members = {"json": meta.model_dump_json().encode()}
    if meta.has_audio:
        noise = np.random.default_rng(meta.utterance).normal(0, 0.02 * 3**number, int(meta.duration * AUDIO_RATE))
        buffer = io.BytesIO()
        soundfile.write(buffer, noise.astype(np.float32), AUDIO_RATE, format="FLAC")
        members["flac"] = buffer.getvalue()
    if meta.has_video:
        buffer = io.BytesIO()
        with av.open(buffer, "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            for k in range(round(meta.duration * 10)):
                # Moving patterns: of a still picture the differential is rounding noise, which the dynamic loss
                # normalises to full size.
                coarse = np.random.default_rng((meta.utterance, k)).integers(60 * number, 60 * number + 120, (4, 4, 3))
                picture = coarse.astype(np.uint8).repeat(8, 0).repeat(8, 1)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        members["mp4"] = buffer.getvalue()
    if meta.has_text:
        members["txt"] = f"it is {meta.label} word{meta.utterance % 4}".encode()
    return members


@pytest.fixture(scope="module")
def make_run(tmp_path_factory: pytest.TempPathFactory, tiny_shards: Path) -> Callable[..., RunDir]:
    """A run directory of the smallest DUAL on the tiny shards: seven steps of twelve samples, no randomness in it."""

    tmp_path = tmp_path_factory.mktemp("store")

    def make(name: str, *overrides: str) -> RunDir:
        config = load_config("demo", [f"data.shards=[{tiny_shards}]", f"store={tmp_path}", *SMALLEST, *overrides])
        return RunDir.create(tmp_path / "runs" / name, config)

    return make


SMALLEST = (
    "data.protocol=all",
    "data.image_size=32",
    "data.max_seconds=1",
    "data.global_batch=12",
    "data.micro_batch=3",
    "data.workers=0",
    "model.hidden_size=16",
    "model.num_heads=2",
    "model.dropout=0",
    "model.text.config={hidden_dropout_prob: 0.0, attention_probs_dropout_prob: 0.0}",
    "augment.enabled=false",
    "augment.drop_audio=0",
    "augment.drop_video=0",
    "augment.drop_text=0",
    "training.epochs=4",
    "training.log_every=1",
    "checkpoint.every_steps=3",
    "checkpoint.keep_last=2",
    "tracking.enabled=false",
)
