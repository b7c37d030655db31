"""What a perturbation is: a function of a batch and a level, and how its curve is labelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dual_hpc.errors import UserError
from dual_hpc.registry import Registry

if TYPE_CHECKING:
    from dual_hpc.evaluation.perturbations.recorded_noise import Recordings

Batch = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """What a perturbation may need besides the batch.

    Attributes:
        seed: of every draw; use `rng_for(seed, purpose, key)`.
        tokenizer, max_tokens: of the model, which reads token ids.
        recordings: of noise, where the user has some.
    """

    seed: int
    tokenizer: Any = None
    max_tokens: int = 0
    recordings: Recordings | None = None


@dataclass(frozen=True)
class Perturbation:
    """One way to degrade the inputs.

    Attributes:
        title: as tables, figures and the JSON name it.
        modality: a, v or t; several where it takes all of them to notice.
        unit: of the levels, as a reader sees it.
        levels: from mild to severe.
        subsets: of modalities that are scored under it.
        apply: a batch of media, a level and a context -> the batch that the model is shown; the tensors that it is
            given stay as they are. None: the modality is missing from a share (the level, in percent) of the
            utterances, which needs no forward pass of its own.
        usable: whether the context has what it needs.
        clipped: a batch and a level -> how many audio samples that level clips, and how many there are: their share is
            reported beside the scores.
    """

    title: str
    modality: str
    unit: str
    levels: tuple[float, ...]
    subsets: tuple[str, ...] = ("av", "avt")
    apply: Callable[[Batch, float, Context], Batch] | None = None
    usable: Callable[[Context], bool] = lambda context: True
    clipped: Callable[[Batch, float], tuple[int, int]] | None = None

    def __post_init__(self) -> None:
        steps = {b > a for a, b in zip(self.levels, self.levels[1:], strict=False)}
        if not self.levels or len(steps) > 1 or len(set(self.levels)) != len(self.levels):
            raise UserError(f"perturbation {self.title!r}: levels {self.levels} must rise or fall from mild to severe")

    @property
    def higher_is_harder(self) -> bool:
        """The direction of the levels: a noise level rises, a signal-to-noise ratio falls as it gets harder."""
        return self.levels[-1] >= self.levels[0]


PERTURBATIONS: Registry[Perturbation] = Registry("perturbation", "robustness suite")
