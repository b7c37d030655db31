"""Which share of a window is speech: by energy, and by silero-vad where that is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray

from dual_hpc.errors import EnvironmentFault
from dual_hpc.inference.voice_activity import EnergyActivity, SileroActivity, voice_activity

RATE = 16_000
PACKAGE = """
import torch
torch.set_num_threads(1)
def load_silero_vad(): return "the network"
def get_speech_timestamps(wave, model, sampling_rate, min_speech_duration_ms=250):
    assert model == "the network" and sampling_rate == 16000 and wave.dtype == torch.float32
    half = len(wave) // 2
    return [{"start": 0, "end": half}] if half >= 16 * min_speech_duration_ms and bool(wave.any()) else []
"""


@pytest.mark.parametrize("noise", [0.0, 0.003, 0.02])
def test_energy_tells_speech_from_pauses_and_steady_noise(noise: float) -> None:
    rng, t = np.random.default_rng(0), np.arange(6 * 16_000) / 16_000
    hiss = noise * rng.standard_normal(t.size)
    voice = 0.3 * np.sin(2 * np.pi * 180 * t) * (t % 1 < 0.6)
    activity = EnergyActivity()
    assert activity.share(hiss.astype(np.float32)) < 0.1
    assert activity.share((voice + hiss).astype(np.float32)) == pytest.approx(0.6, abs=0.1)
    assert activity.share(hiss.astype(np.float32)) < 0.1
    assert activity.share(np.zeros(0, np.float32)) == 0.0


@pytest.fixture
def imitated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of this name, which does to the process what the real one does."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "silero_vad", raising=False)
    (tmp_path / "silero_vad.py").write_text(PACKAGE)
    yield tmp_path / "silero_vad.py"
    sys.modules.pop("silero_vad", None)


def test_the_package_takes_no_threads_away_from_the_model(imitated: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert voice_activity().name == "silero" and torch.get_num_threads() == 3
        sys.modules.pop("silero_vad")
        imitated.write_text("import torch\ntorch.set_num_threads(1)\nraise OSError('no such library: libtorchaudio')")
        with pytest.raises(EnvironmentFault, match=r"silero-vad .* \(OSError: no such library: .*\); pip install"):
            voice_activity()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("seconds", [0.1, 0.2, 0.4, 6.0])
def test_speech_in_a_short_window_or_turn_is_speech(imitated: Path, seconds: float) -> None:
    activity, wave = voice_activity(), np.linspace(-1, 1, round(seconds * RATE), dtype=np.float32)
    for given in (wave, wave[::-1], wave[:]):
        given.flags.writeable = False
        assert activity.share(given) == pytest.approx(0.5, abs=0.01)
    assert activity.share(np.zeros(wave.size, np.float32)) == activity.share(np.zeros(0, np.float32)) == 0.0


def spoken(folder: Path) -> NDArray[np.float32]:
    """A sentence by a formant synthesizer, at 16 kHz."""
    from torchaudio.functional import resample

    path = folder / "said.wav"
    words = "I never said that. You are late again, and nobody told me that you would not come."
    subprocess.run(["espeak-ng", "-w", str(path), words], check=True)
    wave, rate = soundfile.read(path, dtype="float32")
    found: NDArray[np.float32] = resample(torch.from_numpy(wave), rate, RATE).numpy()
    return found


@pytest.mark.skipif(find_spec("silero_vad") is None, reason="not installed: pip install 'dual-hpc[speech]'")
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_silero_hears_speech_and_takes_neither_noise_nor_music_for_it(tmp_path: Path) -> None:
    activity = voice_activity()
    assert isinstance(activity, SileroActivity)
    rng, t, said = np.random.default_rng(0), np.arange(6 * RATE) / RATE, spoken(tmp_path)
    chord = sum(np.sin(2 * np.pi * hertz * t) / 4 for hertz in (262, 330, 392)) * np.exp(-4 * (t % 0.5))
    none = {
        "silence": np.zeros(t.size),
        "noise": 0.1 * rng.standard_normal(t.size),
        "bursts": 0.2 * rng.standard_normal(t.size) * (t % 1 < 0.3),
        "tone": 0.3 * np.sin(2 * np.pi * (150 + 60 * t) * t),
        "chords": chord,
        "not numbers": np.full(t.size, np.nan),
    }
    assert {name: activity.share(wave.astype(np.float32)) for name, wave in none.items()} == dict.fromkeys(none, 0.0)
    assert activity.share(said) > 0.6
    padded = np.concatenate([np.zeros(said.size, np.float32), said])
    assert activity.share(padded) == pytest.approx(activity.share(said) / 2, abs=0.1)
    middle = said.size // 3
    shares = [activity.share(said[start : start + RATE // 5]) for start in range(middle, middle + RATE, RATE // 5)]
    assert np.median(shares) > 0.5  # of a fifth of a second
