"""The peak of a card, by the name that its driver says."""

from __future__ import annotations

import pytest

from dual_hpc.training.peak_flops import peak_flops


@pytest.mark.parametrize(
    ("card", "half", "tf32", "fp32"),
    [
        ("NVIDIA A100-SXM4-80GB", 312, 156, 19.5),
        ("NVIDIA A100-PCIE-40GB", 312, 156, 19.5),
        ("NVIDIA H100 80GB HBM3", 989.4, 494.7, 66.9),
        ("NVIDIA H100 PCIe", 756.5, 378, 51.2),
        ("NVIDIA H100 NVL", 835.5, 417.7, 60),
        ("NVIDIA H200 NVL", 835.5, 417.7, 60),
        ("NVIDIA H200", 989.4, 494.7, 66.9),
        ("NVIDIA GH200 480GB", 989.4, 494.7, 66.9),
        ("NVIDIA A10", 125, 62.5, 31.2),
        ("NVIDIA L40S", 362.1, 183.2, 91.6),
        ("NVIDIA L4", 121, 60, 30.3),
        ("NVIDIA GeForce RTX 4090", 165.2, 82.6, 82.6),
    ],
)
def test_a_card_has_the_peak_of_its_data_sheet(card: str, half: float, tf32: float, fp32: float) -> None:
    assert [peak_flops(card, p, False) for p in ("bf16", "fp16", "fp32")] == [half * 1e12, half * 1e12, fp32 * 1e12]
    assert peak_flops(card, "fp32", True) == tf32 * 1e12


@pytest.mark.parametrize(("card", "fp16", "fp32"), [("Tesla V100-SXM2-32GB", 125, 15.7), ("Tesla T4", 65, 8.1)])
def test_cards_without_bf16_have_no_peak_in_it(card: str, fp16: float, fp32: float) -> None:
    assert peak_flops(card, "bf16", False) is None
    assert peak_flops(card, "fp16", False) == fp16 * 1e12
    assert peak_flops(card, "fp32", True) == fp32 * 1e12  # tf32 changes nothing there


@pytest.mark.parametrize(
    "card", ["NVIDIA A100-SXM4-40GB MIG 1g.5gb", "NVIDIA GeForce GTX 1080", "AMD Instinct MI250X", "NVIDIA A1000", ""]
)
def test_of_others_and_of_parts_of_a_card_nothing_is_said(card: str) -> None:
    assert peak_flops(card, "fp16", False) is None
