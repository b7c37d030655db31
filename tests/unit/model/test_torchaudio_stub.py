"""The stub of torchaudio's compiled part, in processes of their own where nothing may have imported it before."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dual_hpc.model.torchaudio_stub import mel_filters

pytestmark = pytest.mark.slow


def run_python(program: str) -> None:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def test_with_the_stub_torchaudio_has_its_filters() -> None:
    filters = mel_filters(513, 50.0, 5000.0, 80, 16000)
    assert filters.shape == (513, 80) and filters.sum(0).gt(0).all()


def test_the_audio_encoders_are_built_whatever_cuda_torch_is_made_for() -> None:
    program = (
        "import torch\n"
        "torch.version.cuda = '12.6'  # torchaudio's compiled part would refuse any but its own\n"
        "from dual_hpc.model.encoders.describe import build_encoder\n"
        "for kind in ('hubert', 'wavlm', 'wav2vec2'):\n"
        "    config = {'num_hidden_layers': 1, 'hidden_size': 32, 'intermediate_size': 32, 'num_attention_heads': 2}\n"
        "    build_encoder('audio', {'kind': kind, 'config': config}, {'sample_rate': 16000})\n"
        "encoder = build_encoder('audio', {'kind': 'logmel', 'config': {}}, {'sample_rate': 16000})\n"
        "encoder(torch.randn(1, 800), torch.tensor([800]))\n"
        "import torchaudio\n"
        "assert not torchaudio._extension._IS_TORCHAUDIO_EXT_AVAILABLE\n"
    )
    run_python(program)


def test_without_torchaudio_only_the_logmel_encoder_is_lost() -> None:
    program = (
        "import importlib.util, sys, torch\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'torchaudio' else real(name, *a)\n"
        "sys.modules['torchaudio'] = None\n"
        "from dual_hpc.errors import EnvironmentFault\n"
        "from dual_hpc.model.encoders.describe import build_encoder\n"
        "build_encoder('audio', {'kind': 'hubert', 'config': {'num_hidden_layers': 1}}, {'sample_rate': 16000})\n"
        "encoder = build_encoder('audio', {'kind': 'logmel', 'config': {}}, {'sample_rate': 16000})\n"
        "try:\n"
        "    encoder(torch.zeros(1, 800), torch.tensor([800]))\n"
        "except EnvironmentFault as fault:\n"
        "    assert 'torchaudio' in str(fault)\n"
        "else:\n"
        "    raise SystemExit('no fault')\n"
    )
    run_python(program)
