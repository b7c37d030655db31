"""Names of the tensors of a batch that DUAL takes; keys and validity are for those who look at its answers."""

from __future__ import annotations

MEDIA_INPUTS = (
    "waveform",
    "waveform_lengths",
    "frames",
    "frame_lengths",
    "input_ids",
    "attention_mask",
)
FEATURE_INPUTS = (
    "audio",
    "audio_lengths",
    "video",
    "video_lengths",
    "text",
    "text_lengths",
)
INPUTS = (*MEDIA_INPUTS, *FEATURE_INPUTS, "durations")
