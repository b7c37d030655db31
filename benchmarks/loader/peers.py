"""The contestants: each an endless iterator over shuffled batches of decoded, padded arrays; one worker process each.

All use the project's own decoding and collation, so only reading, ordering and transport differ; SPDL has a decoder of
its own. Videos that others read are ordinary ones (`earlier/`), of which the project's decoding decodes every picture;
"webdataset, our coding" reads what packing writes.
"""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from benchmarks.loader.corpus import FPS
from dual_hpc.config.schema import DataConfig
from dual_hpc.data.collate import collate
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.decoding.decoder import DecodeConfig, Request, Sample, SampleDecoder
from dual_hpc.data.format.members import StoredArray
from dual_hpc.data.format.reader import SampleRef
from dual_hpc.data.loader import TrainLoader

BATCH = 8
CONFIG = DataConfig(max_seconds=10, global_batch=BATCH, micro_batch=BATCH, workers=1, image_size=112)
Batches = Iterator[Any]


class Decoder:
    """Members of a sample -> decoded sample, the same for everyone."""

    def __init__(self, folder: Path):
        self._layout = json.loads((folder / "layout.json").read_text())  # not of the index, which peers do without
        stored = {name: (StoredArray(f"{name}.npy", *one, None),) for name, one in self._layout.items()}
        self._decoder = SampleDecoder(DecodeConfig(CONFIG, features=stored))

    def __call__(self, members: dict[str, bytes], duration: float) -> Sample:
        ref = SampleRef(0, "k", "", 0, {e: (0, 0) for e in members}, duration)
        return self._decoder.decode(Request(ref), members)

    def collate(self, samples: list[Sample]) -> dict[str, torch.Tensor]:
        arrays = collate(samples, CONFIG.image_size, self._layout)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}


def ordinary(folder: Path) -> Path:
    """The folder of what has not been coded for the grid."""
    return earlier if (earlier := folder / "earlier").exists() else folder


def ours_earlier(folder: Path) -> Batches:
    return ours(ordinary(folder))


def decode_limit_earlier(folder: Path) -> Batches:
    return decode_limit(ordinary(folder))


def webdataset_our_coding(folder: Path) -> Batches:
    return _webdataset(folder)


def ours(folder: Path) -> Batches:
    dataset = ShardDataset([folder / "shards"])
    numbers = range(len(dataset))
    for step in TrainLoader(dataset, numbers, numbers, CONFIG, None, None, seed=0):
        yield from step


def decode_limit(folder: Path) -> Batches:
    """No worker, no shuffling, no collation: bytes in memory, decoded one after the other."""
    decoder, clips = Decoder(folder), []
    for key, duration in _durations(folder).items():
        paths = sorted((folder / "files").glob(f"{key}.*"))
        clips.append(({path.name.partition(".")[2]: path.read_bytes() for path in paths}, duration))
    while True:
        for first in range(0, len(clips) - BATCH + 1, BATCH):
            yield [decoder(*clip) for clip in clips[first : first + BATCH]]


def webdataset(folder: Path) -> Batches:
    return _webdataset(ordinary(folder))


def _webdataset(folder: Path) -> Batches:
    import webdataset as wds

    decoder = Decoder(folder)

    def decode(sample: dict[str, Any]) -> Sample:
        members = {e: data for e, data in sample.items() if e != "json" and not e.startswith("__")}
        return decoder(members, json.loads(sample["json"])["duration"])

    urls = sorted(str(path) for path in (folder / "shards").glob("*.tar"))
    data = wds.WebDataset(urls, shardshuffle=len(urls), seed=0).shuffle(512).map(decode)
    data = data.batched(BATCH, collation_fn=decoder.collate, partial=False).repeat()
    return iter(wds.WebLoader(data, batch_size=None, num_workers=1))


class LooseFiles(Dataset[Sample]):
    """Map-style: one file per member."""

    def __init__(self, folder: Path, decoder: Decoder):
        self._folder, self._decoder = folder / "files", decoder
        self._clips = list(_durations(folder).items())
        one = self._clips[0][0]
        self._extensions = [path.name.partition(".")[2] for path in sorted(self._folder.glob(f"{one}.*"))]

    def __len__(self) -> int:
        return len(self._clips)

    def __getitem__(self, number: int) -> Sample:
        key, duration = self._clips[number]
        return self._decoder({e: (self._folder / f"{key}.{e}").read_bytes() for e in self._extensions}, duration)


def loose_files(folder: Path) -> Batches:
    folder = ordinary(folder)
    decoder = Decoder(folder)
    data = LooseFiles(folder, decoder)
    return _forever(DataLoader(data, BATCH, shuffle=True, **_options(decoder)))


def loose_files_spawned(folder: Path) -> Batches:
    """What a trainer with threads and a device must do instead of forking."""
    folder = ordinary(folder)
    decoder = Decoder(folder)
    options = _options(decoder) | {"multiprocessing_context": "spawn"}
    return _forever(DataLoader(LooseFiles(folder, decoder), BATCH, shuffle=True, **options))


def streaming(folder: Path) -> Batches:
    folder = ordinary(folder)
    decoder = Decoder(folder)

    class Streamed(streaming_module().StreamingDataset):  # type: ignore[misc, name-defined]
        def __getitem__(self, number: int) -> Sample:
            row = super().__getitem__(number)
            return decoder({e.replace("_", "."): d for e, d in row.items() if e != "duration"}, row["duration"])

    data = Streamed(local=str(folder / "mds"), shuffle=True, batch_size=BATCH)
    return _forever(DataLoader(data, BATCH, **_options(decoder)))


def litdata(folder: Path) -> Batches:
    from litdata import StreamingDataLoader, StreamingDataset

    folder = ordinary(folder)
    decoder = Decoder(folder)

    class Streamed(StreamingDataset):  # type: ignore[misc]
        def __getitem__(self, number: Any) -> Sample:
            row = super().__getitem__(number)
            return decoder({e.replace("_", "."): d for e, d in row.items() if e != "duration"}, row["duration"])

    data = Streamed(str(folder / "litdata"), shuffle=True, drop_last=True)
    return _forever(StreamingDataLoader(data, batch_size=BATCH, num_workers=1, collate_fn=decoder.collate))


def spdl(folder: Path) -> Batches:
    """SPDL's pipeline of threads, with its decoder."""
    from spdl.pipeline import PipelineBuilder

    folder = ordinary(folder)
    decode, clips = _spdl_decoder(folder), list(_durations(folder).items())
    order = np.random.default_rng(0)

    def source() -> Iterator[tuple[str, float]]:
        while True:
            yield from (clips[number] for number in order.permutation(len(clips)))

    def load(clip: tuple[str, float]) -> Sample:
        key, duration = clip
        return decode({e: (folder / "files" / f"{key}.{e}").read_bytes() for e in ("flac", "mp4", "txt")}, duration)

    builder = PipelineBuilder().add_source(source()).pipe(load).aggregate(BATCH).pipe(Decoder(folder).collate)
    pipeline = builder.add_sink(2).build(num_threads=1)
    pipeline.start()
    return iter(pipeline)


def decode_limit_spdl(folder: Path) -> Batches:
    """As `decode_limit`, with SPDL's decoder."""
    folder = ordinary(folder)
    decode, clips = _spdl_decoder(folder), []
    for key, duration in _durations(folder).items():
        paths = sorted((folder / "files").glob(f"{key}.*"))
        clips.append(({path.name.partition(".")[2]: path.read_bytes() for path in paths}, duration))
    while True:
        for first in range(0, len(clips) - BATCH + 1, BATCH):
            yield [decode(*clip) for clip in clips[first : first + BATCH]]


def _spdl_decoder(folder: Path) -> Callable[[dict[str, bytes], float], Sample]:
    """The same pictures, chosen and scaled by a filter; all else by the project's decoding."""
    import spdl.io

    decoder, every = Decoder(folder), round(FPS / CONFIG.video_hz)
    side, config = CONFIG.image_size, spdl.io.decode_config(decoder_options={"threads": "1"})
    chosen = f"select='eq(mod(n,{every}),{every // 2})',scale={side}:{side},format=rgb24"

    def decode(members: dict[str, bytes], duration: float) -> Sample:
        sample = decoder({e: data for e, data in members.items() if e != "mp4"}, duration)
        packets = spdl.io.demux_video(members["mp4"])
        frames = spdl.io.decode_packets(packets, decode_config=config, filter_desc=chosen)
        sample.frames = spdl.io.to_numpy(spdl.io.convert_frames(frames))
        return sample

    return decode


def streaming_module() -> Any:
    """MosaicML Streaming; where torchvision is missing, with a stand-in for two names that nobody uses here."""
    import importlib.util

    if "torchvision" not in sys.modules and importlib.util.find_spec("torchvision") is None:
        from transformers import PreTrainedTokenizerFast  # noqa: F401 - looks for torchvision before it seems to be there

        names: dict[str, dict[str, Any]] = {
            "torchvision": {},
            "torchvision.datasets": {"VisionDataset": object},
            "torchvision.transforms": {},
            "torchvision.transforms.functional": {"to_tensor": None},
        }
        for name, content in names.items():
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__dict__.update(content)
    import streaming as module

    return module


def _durations(folder: Path) -> dict[str, float]:
    durations: dict[str, float] = json.loads((folder / "durations.json").read_text())
    return durations


def _options(decoder: Decoder) -> dict[str, Any]:
    return {"num_workers": 1, "persistent_workers": True, "collate_fn": decoder.collate, "drop_last": True}


def _forever(loader: Any) -> Batches:
    while True:
        yield from loader


CONTESTANTS: dict[str, Callable[[Path], Batches]] = {
    "ours": ours,
    "decode limit": decode_limit,
    "ours, earlier coding": ours_earlier,
    "decode limit, earlier coding": decode_limit_earlier,
    "decode limit, earlier coding, SPDL": decode_limit_spdl,
    "webdataset": webdataset,
    "webdataset, our coding": webdataset_our_coding,
    "loose files": loose_files,
    "loose files, spawned": loose_files_spawned,
    "mosaicml-streaming": streaming,
    "litdata": litdata,
    "spdl": spdl,
}
OPTIONAL = {  # contestant -> the module that it needs
    "mosaicml-streaming": "streaming",
    "litdata": "litdata",
    "spdl": "spdl.io",
    "decode limit, earlier coding, SPDL": "spdl.io",
}
# Of features there is one coding, and SPDL decodes none.
MEDIA_ONLY = tuple(name for name in CONTESTANTS if "coding" in name or name == "spdl")
