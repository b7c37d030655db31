"""Text reliance: how far a model's answers rest on the text, as one number."""

from __future__ import annotations

import numpy as np

from dual_hpc.evaluation.metrics.confusion import ratio
from dual_hpc.evaluation.metrics.metric import Array

WEIGHT_OF_LOST = 0.5  # the rest is the weight of what misleading text turns


def text_reliance(ua_without: Array, ua_with: Array, turned: Array) -> Array:
    """Text reliance R = 1/2 lost + 1/2 turned, of one set of weights on one set of utterances.

    lost = 1 - UA{A,V} / UA{A,V,T}: the share of its average recall that the model loses where the text is missing.
    Negative if it is better without.

    turned: the share of its answers that misleading text turns: with audio and video unchanged, and the transcript of
    an utterance that has another label, the model answers otherwise than with its own transcript.

    The two say different things, and a model can hide from either one: one that is good without text may still follow
    a text that lies, and one whose answers text does not turn may have learnt nothing without it. They weigh the same.

    R is 0 for a model that does not read text. A model that reads nothing else, and is always right, has lost all but
    chance (1 - 1/C for C classes) and is always turned. Chance is not subtracted: a quotient of differences from it has
    no usable interval for weak models.

    Args:
        ua_without, ua_with: unweighted average recalls, shares of one, [N].
        turned: shares of one, [N].

    Returns:
        [N]; the interval of R comes from N draws of whole dialogues, see `comparison`.
    """
    lost = np.where(ua_with > 0, 1 - ratio(ua_without, ua_with), 0.0)
    return WEIGHT_OF_LOST * lost + (1 - WEIGHT_OF_LOST) * turned
