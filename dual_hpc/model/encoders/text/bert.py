"""BERT of transformers."""

from dual_hpc.model.encoders.language import NO_POOLER, SMALL_TEXT, TextKind
from dual_hpc.model.encoders.pretrained import Architecture
from dual_hpc.model.encoders.registry import TEXT

TEXT.register("bert", TextKind(Architecture("bert", "Bert", SMALL_TEXT, NO_POOLER)))
