"""What chose the weights that a report is about: by which score, on which data, and out of how many looks at them."""

from __future__ import annotations

from dual_hpc.config.schema import RunConfig
from dual_hpc.evaluation.metrics import METRICS
from dual_hpc.evaluation.tables import subset_name
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read


def selection_of(run: RunDir, config: RunConfig, checkpoint: str) -> str:
    """One sentence for the report of a run's "best" or "last" weights."""
    looks = validations(run, config)
    times = "1 validation" if looks == 1 else f"{looks} validations"
    if checkpoint != "best":
        return f"the last weights of the training, chosen by no score ({times} were made and chose nothing)"
    by = config.training.select_by
    title = METRICS.get(by).title if by in METRICS else by
    shown = subset_name(config.training.select_modalities)
    where = f"the validation split (the corpus's own, else drawn by {config.data.validation} from the training part)"
    return f"the best {title} with {shown} of {times} on {where}; the test split chose nothing"


def validations(run: RunDir, config: RunConfig) -> int:
    """How often the validation split was scored; what a resumed run repeated counts once."""
    key = f"val/{config.training.select_modalities}/{config.training.select_by}"
    try:
        return len({entry.step for entry in read(run.journal) if key in entry.metrics})
    except OSError:
        return 0
