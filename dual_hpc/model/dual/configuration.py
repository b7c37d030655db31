"""`DualConfig`: everything a saved DUAL needs to be built again."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from dual_hpc.config.schema import ModelConfig
from dual_hpc.model.emotion_config import EmotionConfig

from transformers import AutoConfig  # isort: skip  (after the torchaudio stub)

_NOT_SAVED = ("family", "options", "audio", "video", "text")


class DualConfig(EmotionConfig):
    """Configuration of DUAL: the keys of `dual_hpc.config.schema.ModelConfig`, with the same defaults and meaning.

    Only `temperature` is `alignment_temperature` here, because transformers keeps that name for text generation.
    """

    model_type = "dual"
    settings: ClassVar[tuple[str, ...]] = tuple(name for name in ModelConfig.model_fields if name not in _NOT_SAVED)
    renamed: ClassVar[dict[str, str]] = {"temperature": "alignment_temperature"}

    if TYPE_CHECKING:
        grid_hz: float
        residual_layers: int
        decoder_layers: int
        num_heads: int
        alignment_temperature: float
        learn_temperature: bool
        align_across_batch: bool
        align_centred: bool
        lambda_static: float
        lambda_dynamic: float
        lambda_unimodal: float
        unimodal_logits: bool
        use_sdm: bool
        use_vdm: bool
        use_residual: bool
        use_static_alignment: bool
        use_dynamic_alignment: bool
        kernels: str


AutoConfig.register(DualConfig.model_type, DualConfig, exist_ok=True)
