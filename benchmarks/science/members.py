"""What is trained: each family, DUAL with each of its switches turned, and both trained otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dual_hpc.config import load_config
from dual_hpc.config.schema import RunConfig
from dual_hpc.model.family import FAMILIES
from launch.sweeps.ablation import MODALITIES, switches_of

DUAL = "dual"
SINGLE = ("text_only", "audio_only", "video_only")
MODELS = tuple(FAMILIES)


@dataclass(frozen=True)
class Member:
    """One row of a table, trained with several seeds."""

    name: str
    settings: tuple[str, ...]

    def run_name(self, seed: int) -> str:
        """What its run of a seed is called."""
        return f"{re.sub('[^a-z0-9_]+', '-', self.name.lower()).strip('-')}-{seed}"


def families() -> list[Member]:
    """DUAL first, with which the others are compared."""
    return [Member(name, (f"model.family={name}",)) for name in (DUAL, *(n for n in MODELS if n != DUAL))]


def switches() -> list[Member]:
    """What `dual-hpc ablate` turns off, without the modalities."""
    return [
        Member(name, settings)
        for name, settings in switches_of(load_config("demo", [])).items()
        if name not in MODALITIES
    ]


def alone() -> list[Member]:
    """DUAL that only hears or only sees, with and without the differential module of it."""
    hears, sees = ("model.use_video=false",), ("model.use_audio=false",)
    return [
        Member("sound alone", hears),
        Member("sound alone, no SDM", (*hears, "model.use_sdm=false")),
        Member("pictures alone", sees),
        Member("pictures alone, no VDM", (*sees, "model.use_vdm=false")),
    ]


def dropped() -> list[Member]:
    """The families that read text beside others, DUAL first, with text dropped in most of the samples."""
    names = [name for name in MODELS if name not in (DUAL, *SINGLE)]
    return [
        Member(f"{name}, text dropped", (f"model.family={name}", "augment.drop_text=0.8")) for name in (DUAL, *names)
    ]


def variants() -> list[Member]:
    """DUAL trained otherwise: where its text reliance comes from."""
    return [Member("alignment of weight 0.1", ("model.lambda_static=0.1", "model.lambda_dynamic=0.1"))]


def configured(
    member: Member, seed: int, store: Path, shards: Path, epochs: int, settings: Sequence[str] = ()
) -> RunConfig:
    """The configuration of one run: the preset `demo` on features, one rank, dropout of modalities as by default."""
    return load_config(
        "demo",
        [
            f"name={member.run_name(seed)}",
            f"seed={seed}",
            f"store={store}",
            f"data.shards=[{shards}]",
            "data.workers=0",
            "data.micro_batch=16",
            "augment.drop_text=0.3",
            f"training.epochs={epochs}",
            "launch.ranks_per_node=1",
            "tracking.enabled=false",
            *member.settings,
            *settings,
        ],
    )
