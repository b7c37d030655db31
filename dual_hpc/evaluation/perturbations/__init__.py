"""Perturbations by name, in the order of the report: what degrades the inputs, one file each.

A new one is a file here and its entry below, or a plugin that calls `PERTURBATIONS.register`.
"""

from __future__ import annotations

from dual_hpc.evaluation.perturbations.audio_shift import EARLY_AUDIO, LATE_AUDIO
from dual_hpc.evaluation.perturbations.dropped_frames import DROPPED_FRAMES
from dual_hpc.evaluation.perturbations.erasure import ERASED_AUDIO, ERASED_TEXT, ERASED_VIDEO
from dual_hpc.evaluation.perturbations.gain import LOUDER, QUIETER
from dual_hpc.evaluation.perturbations.noise import BABBLE, WHITE_NOISE
from dual_hpc.evaluation.perturbations.occlusion import BLUR, OCCLUSION
from dual_hpc.evaluation.perturbations.perturbation import PERTURBATIONS, Context, Perturbation
from dual_hpc.evaluation.perturbations.recorded_noise import RECORDED_NOISE
from dual_hpc.evaluation.perturbations.rng import rng_for
from dual_hpc.evaluation.perturbations.word_errors import WORD_ERRORS

__all__ = ["PERTURBATIONS", "Context", "Perturbation", "rng_for"]

for _name, _perturbation in (
    ("white_noise", WHITE_NOISE),
    ("babble", BABBLE),
    ("recorded_noise", RECORDED_NOISE),
    ("quieter_audio", QUIETER),
    ("louder_audio", LOUDER),
    ("erased_audio", ERASED_AUDIO),
    ("dropped_frames", DROPPED_FRAMES),
    ("erased_video", ERASED_VIDEO),
    ("occlusion", OCCLUSION),
    ("blur", BLUR),
    ("late_audio", LATE_AUDIO),
    ("early_audio", EARLY_AUDIO),
    ("word_errors", WORD_ERRORS),
    ("erased_text", ERASED_TEXT),
):
    PERTURBATIONS.register(_name, _perturbation)
