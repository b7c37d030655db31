"""The highest rate at which a card multiplies dense matrices, by its name as the driver says it.

From the data sheets of NVIDIA: the rates of the tensor cores without sparsity (half of those "with sparsity"), summed
in float32; `fp32` without `training.tf32` is that of the ordinary units. Where a name is sold in several forms, the
one that the name tells.
"""

from __future__ import annotations

import re

# Words of the name -> TFLOP/s of bf16 and fp16, of tf32, of fp32. The first that fits; None: it cannot do that.
_CARDS: tuple[tuple[str, float | None, float | None, float], ...] = (
    ("B200", 2250.0, 1125.0, 75.0),
    ("H200 NVL|H100 NVL", 835.5, 417.7, 60.0),
    ("GH200|H200|H100 80GB HBM3|H100 SXM", 989.4, 494.7, 66.9),
    ("H100 PCIe", 756.5, 378.0, 51.2),
    ("A100", 312.0, 156.0, 19.5),
    ("A30", 165.0, 82.0, 10.3),
    ("A40", 149.7, 74.8, 37.4),
    ("RTX 6000 Ada", 364.2, 182.1, 91.1),
    ("RTX A6000", 154.8, 77.4, 38.7),
    ("A10", 125.0, 62.5, 31.2),
    ("L40S", 362.1, 183.2, 91.6),
    ("L40", 181.0, 90.5, 90.5),
    ("L4", 121.0, 60.0, 30.3),
    ("RTX 4090", 165.2, 82.6, 82.6),
    ("RTX 3090", 71.0, 35.6, 35.6),
)
# Of before bf16 and tf32: fp16 alone.
_FP16_CARDS = (("V100.*PCI", 112.0, 14.0), ("V100", 125.0, 15.7), ("T4", 65.0, 8.1))


def peak_flops(card: str, precision: str, tf32: bool) -> float | None:
    """FLOP/s; None for a card that is not in the table, for a part of one (MIG), and for what it cannot do.

    Args:
        card: as `torch.cuda.get_device_name` says it.
        precision: bf16, fp16 or fp32.
        tf32: fp32 products are those of TF32.
    """
    if "MIG" in card:
        return None
    for words, half, tf, full in _CARDS:
        if _fits(words, card):
            return _tera(tf if tf32 else full) if precision == "fp32" else _tera(half)
    for words, half, full in _FP16_CARDS:
        if _fits(words, card):
            return {"fp16": _tera(half), "fp32": _tera(full)}.get(precision)
    return None


def _fits(words: str, card: str) -> bool:
    return re.search(rf"\b(?:{words})\b", card) is not None


def _tera(value: float | None) -> float | None:
    return None if value is None else value * 1e12
