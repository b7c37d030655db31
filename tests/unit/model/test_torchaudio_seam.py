"""The door to torchaudio, in fresh processes: it only works before the first import."""

from __future__ import annotations

import subprocess
import sys


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)


def test_after_the_door_torchaudio_imports_with_its_filters() -> None:
    done = run(
        "from dual_hpc.model.torchaudio_seam import mel_filters\n"
        "filters = mel_filters(513, 50.0, 5000.0, 80, 16000)\n"
        "assert filters.shape == (513, 80) and filters.sum(0).gt(0).all()\n"
    )
    assert done.returncode == 0, done.stderr


def test_without_torchaudio_only_the_logmel_encoder_is_lost() -> None:
    done = run(
        "import importlib.util, sys, torch\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'torchaudio' else real(name, *a)\n"
        "sys.modules['torchaudio'] = None\n"
        "from dual_hpc.errors import EnvironmentFault\n"
        "from dual_hpc.model.encoders import build_audio_encoder\n"
        "build_audio_encoder({'kind': 'hubert', 'config': {'num_hidden_layers': 1}}, 16000)\n"
        "encoder = build_audio_encoder({'kind': 'logmel', 'config': {}}, 16000)\n"
        "try:\n"
        "    encoder(torch.zeros(1, 800), torch.tensor([800]))\n"
        "except EnvironmentFault as fault:\n"
        "    assert 'torchaudio' in str(fault)\n"
        "else:\n"
        "    raise SystemExit('no fault')\n"
    )
    assert done.returncode == 0, done.stderr
