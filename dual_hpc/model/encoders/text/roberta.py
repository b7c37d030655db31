"""RoBERTa of transformers."""

from dual_hpc.model.encoders.language import NO_POOLER, SMALL_TEXT, TextKind
from dual_hpc.model.encoders.pretrained import Architecture
from dual_hpc.model.encoders.registry import TEXT

TEXT.register("roberta", TextKind(Architecture("roberta", "Roberta", SMALL_TEXT, NO_POOLER), counts_from_padding=True))
