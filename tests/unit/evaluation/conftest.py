"""Shards in IEMOCAP's shape, written byte by byte: five sessions, two dialogues each, scripted and improvised."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dual_hpc.data.format.index import IndexedSample, Shard, ShardIndex, dataset_id, write_index
from dual_hpc.data.format.sample import AUDIO_RATE, Utterance

LABELS = ("ang", "hap", "exc", "neu", "sad", "xxx")
BROKEN = "Ses05F_impro01_F000"


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Audio and text, no video; the audio of `BROKEN` cannot be decoded."""
    folder = tmp_path_factory.mktemp("shards")
    samples = []
    with tarfile.open(folder / "shard-00000.tar", "w") as tar:
        for session in range(1, 6):
            for dialogue in (f"Ses0{session}F_impro01", f"Ses0{session}M_script01_1"):
                for turn, label in enumerate(LABELS):
                    meta = Utterance(
                        key=f"{dialogue}_{'FM'[turn % 2]}{turn:03d}",
                        corpus="iemocap",
                        session=session,
                        dialogue=dialogue,
                        utterance=turn,
                        speaker="FM"[turn % 2],
                        label=label,
                        valence=1.0 + turn / 2,
                        scripted="script" in dialogue,
                        duration=0.5 + 0.1 * turn,
                        has_video=False,
                    )
                    flac = b"no flac" if meta.key == BROKEN else _flac(meta.duration, session * 10 + turn)
                    members = {"flac": flac, "txt": b"so it goes"}
                    for extension, data in members.items():
                        info = tarfile.TarInfo(f"{meta.key}.{extension}")
                        info.size = len(data)
                        tar.addfile(info, io.BytesIO(data))
                    samples.append((meta, list(members)))
    with tarfile.open(folder / "shard-00000.tar") as tar:
        where = {member.name: (member.offset_data, member.size) for member in tar.getmembers()}
    data = (folder / "shard-00000.tar").read_bytes()
    shard = Shard(
        name="shard-00000.tar",
        bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        samples=[
            IndexedSample(meta=meta, members={e: where[f"{meta.key}.{e}"] for e in extensions})
            for meta, extensions in samples
        ],
    )
    write_index(folder, ShardIndex(dataset_id=dataset_id([shard]), corpus="iemocap", options={}, shards=[shard]))
    return folder


def _flac(seconds: float, seed: int) -> bytes:
    wave = np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * AUDIO_RATE)).astype(np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, AUDIO_RATE, format="FLAC")
    return buffer.getvalue()
