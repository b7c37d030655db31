"""Settings that are valid one by one and contradict each other; those of one model: `ModelFamily.check`."""

from __future__ import annotations

from dual_hpc.config.schema import ModelConfig, TrainingConfig
from dual_hpc.errors import UserError


def check_model(model: ModelConfig) -> None:
    """Refuse settings of which no model can be built.

    Raises:
        UserError: naming the settings that contradict each other.
    """
    if not (model.use_audio or model.use_video or model.use_text):
        raise UserError("model.use_audio, use_video and use_text are all off: leave one of them on")


def check_training(training: TrainingConfig) -> None:
    """Refuse settings under which no model is trained.

    Raises:
        UserError: naming the settings that contradict each other.
    """
    if training.compile == "encoders" and training.zero_stage == 3:
        raise UserError(
            "training.compile=encoders: ZeRO 3 gathers weights between the operations that would be compiled into one; "
            "set training.zero_stage to 0, 1 or 2, or training.compile=none"
        )
