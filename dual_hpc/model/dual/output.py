"""What a forward pass of DUAL returns."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dual_hpc.model.output import EmotionOutput


@dataclass
class DualOutput(EmotionOutput):
    """Output of `DualForEmotionClassification`.

    Attributes:
        loss: `loss_cls + lambda_static * loss_static + lambda_dynamic * loss_dynamic + lambda_unimodal *
            loss_unimodal`, f32 scalar; None without labels, as are its terms.
        loss_cls, loss_static, loss_dynamic, loss_unimodal: means over all B samples; a sample that a term cannot use
            counts as 0. The last is None where its weight is 0.
        logits, dimensions: see `EmotionOutput`.
        bottleneck: Z [B, T, d], zero beyond each utterance's length; text has no part in it.
        mask: bool [B, T], the valid steps of the time grid.
        alignment_static, alignment_dynamic: cosine of audio step i and video step j, f32 [B, T, T]; on request.
        text_attention: how much the answer looks at each token, f32 [B, L]; what is left to 1 goes to the null token;
            on request, of models that read text.
    """

    loss_cls: torch.Tensor | None = None
    loss_static: torch.Tensor | None = None
    loss_dynamic: torch.Tensor | None = None
    loss_unimodal: torch.Tensor | None = None
    bottleneck: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    alignment_static: torch.Tensor | None = None
    alignment_dynamic: torch.Tensor | None = None
    text_attention: torch.Tensor | None = None
