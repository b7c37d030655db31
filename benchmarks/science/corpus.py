"""The corpus with planted truth: raw, packed, and as features of fixed encoders. Each part is made once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.science.encoders import MAX_SECONDS, SIDE, VIDEO_HZ, fixed_encoders
from dual_hpc.config.schema import DataConfig
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.evaluation.protocols import get_protocol
from launch.cli.main import main as dual_hpc
from shards.extraction import extract
from shards.synthetic import Dials, generate

PROTOCOL, FOLD = "iemocap4", 5
DYNAMIC, STATIC = ("angry", "happy"), ("neutral", "sad")  # told apart by movement alone; by level


@dataclass(frozen=True)
class Corpus:
    """Shards of media, which the SVM reads, and of features, which the models read; utterances by split."""

    media: Path
    features: Path
    sizes: dict[str, int]
    dialogues: int


def prepare(folder: Path, utterances: int, dials: Dials, seed: int) -> Corpus:
    """Make what is missing of the corpus in `folder`."""
    raw, media, features = folder / "raw", folder / "media", folder / "features"
    if not (media / "index.json").exists():
        generate("iemocap", raw, utterances, seed=seed, workers=1, quirks=False, dials=dials)
        words = ("pack", "iemocap", raw, "--out", media, "--video-size", SIDE, "--workers", 1)
        if dual_hpc([str(word) for word in words]) != 0:
            raise SystemExit("dual-hpc pack failed")
    dataset = ShardDataset([str(media)])
    data = data_of(media)
    split = get_protocol(PROTOCOL, dataset.utterances).divide(dataset.utterances, data)
    if not (features / "index.json").exists():
        extract(media, features, fixed_encoders(list(dataset.texts(split["train"].tolist()))), batch_size=16)
    tested = [dataset.utterances[number] for number in split["test"].tolist()]
    sizes = {name: len(numbers) for name, numbers in split.items()}
    return Corpus(media, features, sizes, len({one.dialogue for one in tested}))


def data_of(shards: Path) -> DataConfig:
    """The section `data` by which splits are drawn and sound is read."""
    return DataConfig(
        shards=[str(shards)],
        protocol=PROTOCOL,
        test_fold=FOLD,
        image_size=SIDE,
        video_hz=VIDEO_HZ,
        max_seconds=MAX_SECONDS,
        workers=0,
    )
