"""What chose the weights that a report is about: by which score, on which data, and out of how many looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dual_hpc.config.schema import RunConfig
from dual_hpc.errors import UserError
from dual_hpc.evaluation.metrics import LOSS, METRICS, OF_DIMENSIONS, VALIDATED, selecting_metric
from dual_hpc.evaluation.protocols import Protocol
from dual_hpc.evaluation.protocols.advice import absent_modalities
from dual_hpc.evaluation.protocols.protocol import named
from dual_hpc.evaluation.tables import subset_name
from dual_hpc.modality import Modality, format_subset
from dual_hpc.model.family import FAMILIES
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance


def selection_of(run: RunDir, config: RunConfig, checkpoint: str) -> str:
    """One sentence for the report of a run's "best" or "last" weights."""
    looks = validations(run, config)
    times = "1 validation" if looks == 1 else f"{looks} validations"
    if checkpoint != "best":
        return f"the last weights of the training, chosen by no score ({times} were made and chose nothing)"
    by = config.training.select_by
    title = selecting_metric(by).title if by in METRICS or by in VALIDATED else by
    subset, reads = selecting_subset(config), _reads(config)
    shown = subset_name("".join(letter for letter in subset if letter in reads))
    how = named(config.data).validates(config.data)
    if config.data.split:
        how = f"drawn by {next(key for key in config.data.split if key != 'seed')}, as data.split says"
    where = f"the validation split ({how})"
    if start := config.training.select_from:
        times += f" (the first, and those after {100 * start:.0f} % of the steps)"
    return f"the best {title} with {shown} of {times} on {where}; the test split chose nothing"


def check_selecting(by: str, protocol: Protocol) -> None:
    """Refuse a `training.select_by` that nothing will be found of.

    Raises:
        UserError: see above.
    """
    if by in OF_DIMENSIONS and not protocol.dimensions:
        raise UserError(
            f"training.select_by: {by} is of dimensions, and data.protocol={protocol.name} learns none; use ua, or a "
            "protocol with `target: regression`"
        )
    if len(protocol.classes) == 1 and by not in OF_DIMENSIONS and by != LOSS:
        raise UserError(f"training.select_by: {by} is of classes, and {protocol.name} has one; use ccc")


def selecting_subset(config: RunConfig) -> str:
    """`training.select_modalities`; all that the model reads where it reads none of those: every checkpoint of a model
    of text alone is as good as any other without text.
    """
    reads = _reads(config)
    wanted = config.training.select_modalities
    return wanted if set(wanted) & set(reads) else reads


def seen_modalities(config: RunConfig, utterances: Sequence[Utterance]) -> str:
    """Those that the model reads and an utterance has, as letters: by them a score is named."""
    absent = [modality.letter for modality in absent_modalities(utterances)]
    reads = _reads(config)
    return "".join(letter for letter in reads if letter not in absent) or reads


def _reads(config: RunConfig) -> str:
    model = FAMILIES.get(config.model.family).narrowed(config.model)
    return format_subset(modality for modality in Modality if getattr(model, f"use_{modality}"))


def validations(run: RunDir, config: RunConfig) -> int:
    """How often the validation split was scored; what a resumed run repeated counts once."""
    key = f"val/{selecting_subset(config)}/{config.training.select_by}"
    try:
        return len({entry.step for entry in read(run.journal) if key in entry.metrics})
    except OSError:
        return 0
