"""The sections `model.audio`, `model.video` and `model.text`: one encoder each."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from dual_hpc.config.section import Section
from dual_hpc.config.values import EncoderLayers, TrainableLayers


class LoraConfig(Section):
    """What `trainable: lora` adds to the linear layers of a frozen transformers model."""

    rank: int = Field(8, ge=1, le=1_024)
    alpha: float = Field(16.0, gt=0, description="the factor of what is added is alpha / rank")
    targets: list[str] = Field(
        default_factory=list, description="endings of the layers' names, as [q_proj, v_proj]; empty: queries and values"
    )


class EncoderConfig(Section):
    """One modality's encoder: `path` names a local pretrained directory; without it `config` describes a new one.

    The kind `features` is never set by hand: feature shards (`dual-hpc extract`) bring it, with its `config`.
    """

    path: str | None = Field(None, description="folder of a pretrained encoder")
    config: dict[str, Any] = Field(default_factory=dict, description="of a new encoder, without path")
    trainable: TrainableLayers = Field(
        "all", description="'all', 'none', the number of top layers that are fine-tuned, or 'lora' (see lora)"
    )
    lora: LoraConfig = LoraConfig()
    layers: EncoderLayers = Field(
        "last",
        description="which of a transformers model's layers are the features: 'last', 'mix' (a learned weighted sum of "
        "all), or a list of numbers to mix, as [6, 9, 12]; 0 is what the first layer is given",
    )
    features: list[str] = Field(
        default_factory=list,
        description="where data.shards is a folder of several sets of features: the names of those that are read, side "
        "by side; empty: the only one that has this modality",
    )
    kind: str = ""


class AudioEncoderConfig(EncoderConfig):
    """`logmel` and, for real speech, `melcnn` learn from scratch on a mel spectrogram of each utterance at one level
    (`config: {normalize: false}`: at its own); the others are transformers models on the waveform.
    """

    kind: str = Field(
        "logmel",
        description=(
            "logmel, melcnn, wav2vec2, hubert, wavlm, data2vec-audio, whisper, wav2vec2-bert, parakeet, ...; auto: "
            "what the folder is; or a plugin's"
        ),
    )


class VideoEncoderConfig(EncoderConfig):
    """One vector per frame; a resnet without `path` is a small one made from `config`."""

    kind: str = Field(
        "resnet",
        description="resnet, vit, clip, siglip, dinov2, dinov3_vit, convnext, swin, videomae, ...; auto: what the "
        "folder is; or a plugin's",
    )


class TextEncoderConfig(EncoderConfig):
    """One vector per token; a bert without `path` is a small one over the training transcripts' vocabulary."""

    kind: str = Field(
        "bert",
        description="bert, roberta, xlm-roberta, deberta-v2, modernbert, qwen3, llama, ...; auto: what the folder is; "
        "or a plugin's",
    )
