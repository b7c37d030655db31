"""The kinds of encoders of each modality; loading this loads none of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dual_hpc.model.encoders.kinds import AUTO, KINDS
from dual_hpc.registry import Registry, modules_in

if TYPE_CHECKING:
    from dual_hpc.model.encoders.base import EncoderKind

MODALITIES = ("audio", "video", "text")
FEATURES = "features"  # the kind of every modality that is read from feature shards


def _kinds(modality: str) -> Registry[EncoderKind]:
    package = f"{__package__}.{modality}"
    modules = modules_in(Path(__file__).parent / modality, package)
    listed = dict.fromkeys((*KINDS[modality], AUTO), f"{__package__}.listed")
    modules |= {**listed, FEATURES: f"{__package__}.features"}
    return Registry(f"{modality} encoder", f"model.{modality}.kind", modules)


AUDIO, VIDEO, TEXT = map(_kinds, MODALITIES)
ENCODERS = {"audio": AUDIO, "video": VIDEO, "text": TEXT}
