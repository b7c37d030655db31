"""DUAL as a model family; loading this does not load the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dual_hpc.errors import UserError
from dual_hpc.model.family import FAMILIES, ModelFamily

if TYPE_CHECKING:
    from dual_hpc.config.schema import ModelConfig


def check(model: ModelConfig) -> None:
    """Refuse settings that contradict each other.

    Raises:
        UserError: names them.
    """
    if model.hidden_size % model.num_heads:
        raise UserError(f"model.num_heads={model.num_heads} does not divide model.hidden_size={model.hidden_size}")


FAMILIES.register(
    "dual",
    ModelFamily(
        "dual_hpc.model.dual.configuration:DualConfig",
        "dual_hpc.model.dual.model:DualForEmotionClassification",
        matrices=("alignment_static", "alignment_dynamic"),
        attends_to_text=True,
        losses=("loss", "loss_cls", "loss_static", "loss_dynamic"),
        switches={
            "no SDM": ("model.use_sdm=false",),
            "no VDM": ("model.use_vdm=false",),
            "no SDM, no VDM": ("model.use_sdm=false", "model.use_vdm=false"),
            "no residual": ("model.use_residual=false",),
            "no static alignment": ("model.use_static_alignment=false",),
            "no dynamic alignment": ("model.use_dynamic_alignment=false",),
            "no alignment": ("model.use_static_alignment=false", "model.use_dynamic_alignment=false"),
        },
        check=check,
    ),
)
