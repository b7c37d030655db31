"""Encoders of each form on two ranks: under ZeRO 1, 2 and 3 a step is the one that plain PyTorch makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.encoders.ranks import STAGES, plain_losses, start_ranks
from benchmarks.encoders.subject import LORA, write_folder

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(1800)]
# WavLM multiplies with the weights themselves, which ZeRO 3 holds in parts; GPT-2's lie the other way round.
KINDS = [("audio", f"wavlm{LORA}"), ("audio", "whisper"), ("video", f"videomae{LORA}"), ("text", f"gpt2{LORA}")]


def test_a_step_under_zero_is_that_of_plain_pytorch(tmp_path: Path) -> None:
    for modality, kind in KINDS:
        write_folder(modality, kind.removesuffix(LORA), tmp_path / modality / kind.removesuffix(LORA))
    ranks = start_ranks(tmp_path, KINDS)
    plain = {f"{modality} {kind}": plain_losses(tmp_path, modality, kind) for modality, kind in KINDS}
    codes = [rank.wait() for rank in ranks]
    assert codes == [0, 0], (tmp_path / "rank0.log").read_text()[-3_000:]
    found = json.loads((tmp_path / "ranks.json").read_text())
    assert len(found) == len(KINDS) * len(STAGES)
    for name, losses in plain.items():
        assert losses[0] != losses[1], f"{name} learns nothing"
        for stage in STAGES:
            assert found[f"{name} {stage}"] == pytest.approx(losses, rel=1e-5), f"{name} under ZeRO {stage}"
