"""Names of the tensors of a batch that DUAL takes; keys and validity are for those who look at its answers."""

from __future__ import annotations

from dual_hpc.modality import Modality

MEDIA_INPUTS = tuple(key for modality in Modality for key in (modality.raw_key, modality.raw_length_key))
FEATURE_INPUTS = tuple(key for modality in Modality for key in (modality.feature_key, modality.feature_length_key))
INPUTS = (*MEDIA_INPUTS, *FEATURE_INPUTS, "durations")
