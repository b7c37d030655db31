"""A modality missing from a share of the utterances.

No forward pass is needed: the answers of the same model without that modality replace its own for that share.
"""

from __future__ import annotations

import numpy as np

from dual_hpc.evaluation.perturbations.perturbation import Perturbation
from dual_hpc.evaluation.perturbations.rng import rng_for
from dual_hpc.evaluation.predictions import Predictions
from dual_hpc.modality import Modality

_SHARES = tuple(float(share) for share in range(10, 101, 10))
MISSING_MODALITY = tuple(
    Perturbation(
        f"{modality} missing",
        modality.letter,
        "% of the utterances",
        _SHARES,
        tuple(subset for subset in ("av", "avt") if modality.letter in subset),
    )
    for modality in Modality
)


def replace_share(own: Predictions, without: Predictions, share: float, seed: int, purpose: str) -> Predictions:
    """`own` answers, but `without` for a share of the utterances; who lacks it at one share does at every higher."""
    lacking = np.array([rng_for(seed, purpose, key).random() < share for key in own.keys], dtype=bool)
    return Predictions(own.keys, own.truth, np.where(lacking[:, None], without.probabilities, own.probabilities))
