"""A researcher's own corpus, encoder, model, metric and perturbation, each one file outside the project, through every
command; also as a submitted job after their folder is gone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from dual_hpc.data.format.sample import AUDIO_RATE
from dual_hpc.plugins import plugin_sources
from dual_hpc.run.directory import RunDir
from dual_hpc.run.journal import read, replay
from launch.cluster.code_archive import ROOT, code_files

pytestmark = [pytest.mark.distributed, pytest.mark.timeout(3600)]

PLUGINS = ["mylab.corpus", "mylab.encoder", "mylab.model", "mylab.metric", "mylab.perturbation"]
FLAGS = [word for name in PLUGINS for word in ("--plugin", name)]
CONFIGURATION = f"""
name: first
plugins: [{", ".join(PLUGINS)}]
data: {{protocol: tones2, global_batch: 8, micro_batch: 4, workers: 1, max_seconds: 2}}
augment: {{enabled: false}}
model:
  family: sum_of_modalities
  options: {{sharpness: 2.0}}
  hidden_size: 16
  audio: {{kind: crossings, config: {{width: 6}}}}
  text: {{config: {{hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16}}}}
  use_video: false
optim: {{lr: 0.03}}
training: {{epochs: 12, precision: fp32, select_by: error_rate, select_modalities: at}}
tracking: {{sync_seconds: 1}}
launch: {{ranks_per_node: 2}}
"""


class Lab:
    """A working directory with the plugins, recordings and a configuration; its store is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """`dual-hpc WORDS` in this directory."""
        environment = {
            **os.environ,
            **{"PYTHONPATH": str(ROOT), "DUAL_STORE": str(self.path / "store"), "XDG_STATE_HOME": str(self.path)},
        }
        program = "import sys; sys.path.remove(''); from launch.cli.main import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", program, *words], capture_output=True, text=True, cwd=self.path, env=environment
        )
        log = self.path / "dual_hpc" / "dual-hpc.log"
        trace = log.read_text()[-3000:] if done.returncode != code and log.exists() else ""
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}\n{trace}"
        return done

    def finished(self, name: str) -> RunDir:
        """The run of this name, once its job has ended well."""
        run, deadline = RunDir(self.path / "store" / "runs" / name), time.monotonic() + 1800
        while time.monotonic() < deadline:
            ends = [segment.reason for segment in run.segments() if segment.event == "end"]
            if ends:
                assert ends == ["finished"], self.run("why", name).stdout
                return run
            time.sleep(1)
        raise AssertionError(self.run("why", name).stdout)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    source = Path(__file__).parent / "plugins" / "mylab"
    shutil.copytree(source, folder / "mylab", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "mine.yaml").write_text(CONFIGURATION)
    (folder / "tones").mkdir()
    random = np.random.default_rng(0)
    for split, count in (("train", 16), ("dev", 8), ("test", 8)):
        for number in range(count):
            label, hertz = (("low", 120), ("high", 900))[number % 2]
            seconds = np.arange(int(AUDIO_RATE * random.uniform(0.6, 1.2))) / AUDIO_RATE
            tone = 0.3 * np.sin(2 * np.pi * hertz * random.uniform(0.9, 1.1) * seconds)
            soundfile.write(folder / "tones" / f"{split}-{label}-{number:02}.wav", tone, AUDIO_RATE)
    yield Lab(folder)


@pytest.fixture(scope="module")
def trained(lab: Lab) -> RunDir:
    """The run `first`, packed and trained by the commands."""
    lab.run("pack", "tones", "tones", "--out", "shards", *FLAGS)
    lab.run("train", "--config", "mine.yaml", "--shards", "shards")
    return lab.finished("first")


def test_each_of_the_five_is_one_file(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lab.path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in PLUGINS:
        assert list(plugin_sources(name)) == [f"{name.replace('.', '/')}.py"]


def test_a_training_uses_them_and_its_archive_is_the_project_and_five_files(trained: RunDir) -> None:
    curves = replay(read(trained.journal))
    assert {"train/loss", "train/loss_size"} < set(curves) and "train/loss_cls" not in curves
    errors = list(curves["val/at/error_rate"].values())
    assert errors[-1] <= 0.25  # of two classes that a threshold tells apart
    best = [entry.step for entry in read(trained.journal) if entry.event == "best" and entry.step is not None]
    assert curves["val/at/error_rate"][best[-1]] == min(errors)
    with zipfile.ZipFile(trained.code) as archive:
        files = set(archive.namelist()) - {"__main__.py", "uncommitted.diff"}
    assert files - set(code_files()) == {f"{name.replace('.', '/')}.py" for name in PLUGINS}
    assert set(trained.identity().plugins) == set(PLUGINS)
    model = json.loads((trained.exports / "best" / "config.json").read_text())
    assert model["plugins"] == ["mylab.model", "mylab.encoder"] and model["options"] == {"sharpness": 2.0}


def test_a_run_is_evaluated_with_the_metric_under_the_perturbation(lab: Lab, trained: RunDir) -> None:
    result = json.loads(lab.run("evaluate", "first", "--robustness", "--json").stdout)
    words = json.dumps(result)
    assert '"error_rate"' in words and '"attenuation"' in words
    found: dict[str, Any] = json.loads((trained.reports / "test_best_robustness.json").read_text())
    assert "attenuation" in json.dumps(found)


def test_a_model_directory_names_the_plugins_that_it_needs_and_works_with_them(lab: Lab, trained: RunDir) -> None:
    words = ["predict", "--model", str(trained.exports / "best"), "--input", "tones/test-low-00.wav"]
    refused = lab.run(*words, code=2).stderr
    assert "model type 'sum_of_modalities' is registered by the plugins mylab.model, mylab.encoder" in refused
    assert "--plugin mylab.model" in refused and len(refused.splitlines()) == 1
    answer = json.loads(lab.run(*words, *FLAGS).stdout)
    assert set(answer["probabilities"]) == {"low", "high"} and answer["modalities"] == ["audio"]
    models = {file.parent for file in lab.path.glob("store/**/MLmodel")}
    with_code = {file.parents[2] for file in lab.path.glob("store/**/code/mylab/model.py")}
    assert models and with_code == models, "the models that MLflow keeps have the code of their plugins"


def test_a_submitted_job_runs_its_archive_when_the_folder_is_gone(lab: Lab, trained: RunDir) -> None:
    lab.run("submit", "--config", "mine.yaml", "--shards", "shards", "name=second")
    shutil.move(lab.path / "mylab", lab.path / "away")
    try:
        second = lab.finished("second")
        assert second.identity().plugins == trained.identity().plugins
        losses = [replay(read(run.journal))["train/loss"] for run in (trained, second)]
        assert losses[0] == losses[1]
        scores = json.loads(lab.run("evaluate", "second", "--json").stdout)  # with the plugins of the archive
        assert '"error_rate"' in json.dumps(scores)
        assert "there is no module 'mylab.corpus'" in lab.run("train", "--config", "mine.yaml", code=2).stderr
    finally:
        shutil.move(lab.path / "away", lab.path / "mylab")
