"""The kinds of encoders that are architectures of transformers, as data: a line each, read without loading torch.

A kind's *form* says what it takes and gives (`WAVEFORM` ...), and one adapter per form does the rest. What a folder of
weights says of itself (`config.json`, its processor's settings) goes before what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WAVEFORM, MEL, PICTURE, CLIP, TOKENS = "waveform", "mel", "picture", "clip", "tokens"
AUTO = "auto"  # the kind whose architecture is what a folder's config.json says

Scale = dict[str, list[float]]  # "mean" and "std" per RGB channel, on the 0-1 scale
IMAGENET: Scale = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
HALF: Scale = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
OPENAI: Scale = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
KINETICS: Scale = {"mean": [0.45, 0.45, 0.45], "std": [0.225, 0.225, 0.225]}

FIRST, MEAN, POOLED = "first", "mean", "pooled"  # the vector of a picture: a token, their mean, or the model's own


@dataclass(frozen=True)
class ListedKind:
    """One architecture of transformers.

    Attributes:
        form: what it takes and gives.
        model_type: transformers' name of it; empty: the kind's own.
        small: configuration of a new model where no folder is given; the user's keys go on top.
        part: the attribute of the model that is used; empty: all of it.
        inside: model types whose folders hold it as a part, and the entry of their configuration that describes it.
        scale: of pictures, where a folder does not say.
        summary: which vector is a picture's.
        one_size: pictures of another size than the model's own are scaled to it; else it takes any.
        front: of `MEL`, the feature extractor where a folder does not say.
        patch_first: of `CLIP`, tokens lie patch by patch, not time by time.
        counts_from_padding: of `TOKENS`, positions are counted from the padding token's number on.
        pairs: of `TOKENS`, it takes a mask of pairs of tokens, bool [B, 1, L, L].
    """

    form: str
    model_type: str = ""
    small: Mapping[str, Any] = field(default_factory=dict)
    part: str = ""
    inside: Mapping[str, str] = field(default_factory=dict)
    scale: Scale = field(default_factory=lambda: IMAGENET)
    summary: str = POOLED
    one_size: bool = False
    front: str = ""
    patch_first: bool = False
    counts_from_padding: bool = False
    pairs: bool = False


_SPEECH = {
    **{"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 192},
    **{"conv_dim": [64] * 7, "num_conv_pos_embeddings": 32, "num_conv_pos_embedding_groups": 4},
}
_DATA2VEC = {**_SPEECH, "num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 9}
_WHISPER = {
    **{"d_model": 96, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 192},
    **{"decoder_layers": 1, "decoder_attention_heads": 4, "decoder_ffn_dim": 96},
}
_CONFORMER = {
    **{"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 192},
    **{"feature_projection_input_dim": 160, "output_hidden_size": 96, "conv_depthwise_kernel_size": 15},
}
_PARAKEET = {
    **{"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 192},
    "subsampling_conv_channels": 32,
}
_WIDTH = {"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 192}
_PATCHES = {**_WIDTH, "patch_size": 8}
_STAGES = {"hidden_sizes": [32, 48, 64, 96], "depths": [1, 1, 2, 1]}
_WINDOWS = {"patch_size": 2, "embed_dim": 48, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4}
_SCALED = {"width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 128}
_FRAMES = {**_PATCHES, "num_frames": 4}
_VJEPA = {
    **{"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "patch_size": 8, "frames_per_clip": 4},
    **{"pred_hidden_size": 24, "pred_num_hidden_layers": 1, "pred_num_attention_heads": 4},
}
_TEXT = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
_RELATIVE = {"relative_attention": True, "position_buckets": 32, "pos_att_type": ["c2p", "p2c"]}
_DISTIL = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128}
_DECODER = {**_TEXT, "num_key_value_heads": 2, "head_dim": 16}

KINDS: dict[str, dict[str, ListedKind]] = {
    "audio": {
        "wav2vec2": ListedKind(WAVEFORM, small=_SPEECH),
        "hubert": ListedKind(WAVEFORM, small=_SPEECH),
        "wavlm": ListedKind(WAVEFORM, small=_SPEECH),
        "unispeech": ListedKind(WAVEFORM, small=_SPEECH),
        "unispeech-sat": ListedKind(WAVEFORM, small=_SPEECH),
        "data2vec-audio": ListedKind(WAVEFORM, small=_DATA2VEC),
        "whisper": ListedKind(MEL, small=_WHISPER, part="encoder", front="WhisperFeatureExtractor"),
        "wav2vec2-bert": ListedKind(MEL, small=_CONFORMER, front="SeamlessM4TFeatureExtractor"),
        "parakeet": ListedKind(
            MEL,
            "parakeet_encoder",
            _PARAKEET,
            inside=dict.fromkeys(("parakeet_ctc", "parakeet_tdt", "parakeet_rnnt"), "encoder_config"),
            front="ParakeetFeatureExtractor",
        ),
    },
    "video": {
        "vit": ListedKind(PICTURE, small=_PATCHES, scale=HALF, summary=FIRST),
        "clip": ListedKind(PICTURE, "clip_vision_model", _PATCHES, inside={"clip": "vision_config"}, scale=OPENAI),
        "siglip": ListedKind(PICTURE, "siglip_vision_model", _PATCHES, inside={"siglip": "vision_config"}, scale=HALF),
        "dinov2": ListedKind(PICTURE, small=_PATCHES, summary=FIRST),
        "dinov2_with_registers": ListedKind(PICTURE, small=_PATCHES, summary=FIRST),
        "dinov3_vit": ListedKind(PICTURE, small=_PATCHES, summary=FIRST),
        "dinov3_convnext": ListedKind(PICTURE, small=_STAGES),
        "deit": ListedKind(PICTURE, small=_PATCHES, summary=FIRST),
        "beit": ListedKind(PICTURE, small=_PATCHES, scale=HALF, summary=FIRST),
        "convnext": ListedKind(PICTURE, small=_STAGES),
        "convnextv2": ListedKind(PICTURE, small=_STAGES),
        "swin": ListedKind(PICTURE, small=_WINDOWS, summary=MEAN, one_size=True),
        "swinv2": ListedKind(PICTURE, small=_WINDOWS, summary=MEAN, one_size=True),
        "efficientnet": ListedKind(PICTURE, small=_SCALED),
        "regnet": ListedKind(PICTURE, small={**_STAGES, "embedding_size": 16, "groups_width": 16}),
        "videomae": ListedKind(CLIP, small=_FRAMES),
        "vivit": ListedKind(CLIP, small={**_FRAMES, "tubelet_size": [2, 8, 8]}, scale=HALF),
        "timesformer": ListedKind(CLIP, small=_FRAMES, scale=KINETICS, patch_first=True),
        "vjepa2": ListedKind(CLIP, small=_VJEPA, part="encoder"),
    },
    "text": {
        "bert": ListedKind(TOKENS, small=_TEXT, pairs=True),
        "roberta": ListedKind(TOKENS, small=_TEXT, counts_from_padding=True, pairs=True),
        "xlm-roberta": ListedKind(TOKENS, small=_TEXT, counts_from_padding=True, pairs=True),
        "camembert": ListedKind(TOKENS, small=_TEXT, counts_from_padding=True, pairs=True),
        "deberta-v2": ListedKind(TOKENS, small={**_TEXT, **_RELATIVE}),
        "modernbert": ListedKind(TOKENS, small=_TEXT),
        "electra": ListedKind(TOKENS, small={**_TEXT, "embedding_size": 64}),
        "mpnet": ListedKind(TOKENS, small=_TEXT, counts_from_padding=True),
        "distilbert": ListedKind(TOKENS, small=_DISTIL),
        "gpt2": ListedKind(TOKENS, small=_TEXT),
        "llama": ListedKind(TOKENS, small=_DECODER),
        "mistral": ListedKind(TOKENS, small=_DECODER),
        "qwen2": ListedKind(TOKENS, small=_DECODER),
        "qwen3": ListedKind(TOKENS, small=_DECODER),
        "gemma": ListedKind(TOKENS, small=_DECODER),
        "gemma2": ListedKind(TOKENS, small=_DECODER),
        "gemma3": ListedKind(TOKENS, "gemma3_text", _DECODER),
        "phi3": ListedKind(TOKENS, small=_DECODER),
    },
}
