"""Twenty clips by five ways: `predict`, `Predictor`, a real server of MLflow, `torch.export` and ONNX say the same."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dual_hpc.config.schema import ModelConfig
from dual_hpc.inference.predictor import Predictor
from dual_hpc.inference.requests import Clip
from dual_hpc.model import build_model, build_tokenizer, save_model
from dual_hpc.model.graph import export_graph, input_names, load_graph, save_graph
from dual_hpc.model.onnx_graph import PACKAGES, onnx_session, save_onnx
from dual_hpc.tracking.mlflow_model import save
from launch.cli.main import main
from launch.job.ports import LOOPBACK, free_port
from shards.options import PackOptions
from tests.media.odd_recordings import Pictures, Sound, write
from tests.unit.conftest import LABELS, PREPROCESSING

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[3]
COUNT = 20
DIGITS = 1.01e-4  # `predict` writes four digits
TEXTS = ("so it goes", None, "so it never goes", "who knows", "")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Clips of every length, with and without sound, pictures and text, and pieces of some."""
    folder, found = tmp_path_factory.mktemp("twenty"), []
    for number in range(COUNT):
        seconds = 0.4 + 0.13 * number
        streams: list[Sound | Pictures] = [
            Pictures(seconds=seconds, size=(64 + 4 * number, 48), fps=10 + number % 3),
            Sound(rate=(8_000, 16_000, 44_100)[number % 3], seconds=seconds, level=0.05 + 0.02 * number),
        ]
        kept = streams[1:] if number % 5 == 3 else streams[:1] if number % 5 == 4 else streams
        path = write(folder / f"{number}.mp4", *kept)
        piece = (0.1, 0.1 + seconds / 2) if number % 4 == 2 else (None, None)
        found.append(Clip(path, TEXTS[number % len(TEXTS)], *piece))
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model that says how its clips were packed."""
    torch.manual_seed(3)
    tokenizer = build_tokenizer(["so it goes", "so it never goes"], minimum_count=1)
    config = ModelConfig(hidden_size=16, num_heads=2, residual_layers=1, decoder_layers=1)
    how = PackOptions(video_size=48).preparation().to_json()
    made = build_model(config, LABELS, PREPROCESSING, [10, 20, 40, 30], tokenizer, preparation=how)
    folder = tmp_path_factory.mktemp("model") / "dual"
    save_model(made, tokenizer, folder)
    return folder


@pytest.fixture(scope="module")
def predictor(model: Path) -> Predictor:
    return Predictor.from_pretrained(model, device="cpu")


@pytest.fixture(scope="module")
def wanted(predictor: Predictor, asked: list[Clip]) -> np.ndarray:
    """Probabilities [20, C] of `Predictor`, clip by clip."""
    answers = [predictor.predict(one.path, one.text, one.start, one.end) for one in asked]
    assert len({answer.label for answer in answers}) > 1 or np.ptp([a.probabilities["sad"] for a in answers]) > 0.01
    return np.array([[answer.probabilities[label] for label in LABELS] for answer in answers])


def check(found: Sequence[Sequence[float]] | np.ndarray, wanted: np.ndarray, what: str, least: float) -> None:
    difference = float(np.abs(np.array(found) - wanted).max())
    print(f"{what}: the largest difference of a probability over {COUNT} clips is {difference:.2g}")
    assert np.array(found).shape == wanted.shape == (COUNT, len(LABELS)) and difference < least


def test_the_command_says_what_the_predictor_says(
    model: Path, asked: list[Clip], wanted: np.ndarray, tmp_path: Path
) -> None:
    lines = [{"input": str(one.path), "text": one.text, "start": one.start, "end": one.end} for one in asked]
    (tmp_path / "asked.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = ["--model", str(model), "--input", str(tmp_path / "asked.jsonl"), "--device", "cpu"]
    assert main(["predict", *words, "--output", str(tmp_path / "answers.jsonl")]) == 0
    rows = [json.loads(line)["probabilities"] for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    check([[row[label] for label in LABELS] for row in rows], wanted, "predict", DIGITS)


@pytest.fixture(scope="module")
def program(predictor: Predictor) -> torch.export.ExportedProgram:
    return export_graph(predictor.model)


def batches(predictor: Predictor, asked: list[Clip]) -> list[dict[str, torch.Tensor]]:
    """What another program gives a graph: the tensors of each prepared clip."""
    return [predictor.tensors([predictor.prepare(one)]) for one in asked]


def test_torch_export_says_what_the_predictor_says(
    predictor: Predictor, program: Any, asked: list[Clip], wanted: np.ndarray, tmp_path: Path
) -> None:
    save_graph(program, tmp_path)
    run, names = load_graph(tmp_path), input_names(predictor.model)
    found = [run(*(batch[name] for name in names)).softmax(-1)[0].tolist() for batch in batches(predictor, asked)]
    check(found, wanted, "torch.export", 1e-5)


def test_onnx_says_what_the_predictor_says(
    predictor: Predictor, program: Any, asked: list[Clip], wanted: np.ndarray, tmp_path: Path
) -> None:
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)} (pip install 'dual-hpc[onnx]')")
    session = onnx_session(save_onnx(program, predictor.model, tmp_path))
    found = [session(batch).softmax(-1)[0].tolist() for batch in batches(predictor, asked)]
    check(found, wanted, "ONNX, by onnxruntime", 1e-5)


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `mlflow models serve` on this machine."""
    folder = tmp_path_factory.mktemp("served")
    save(model, folder / "model", run_id=None, model_id=None)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", str(folder / "model")]
    command += ["--host", LOOPBACK, "--port", str(port), "--env-manager", "local"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where MLflow looks for its server
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    address = f"http://{LOOPBACK}:{port}"
    try:
        for _ in range(240):
            assert process.poll() is None, (folder / "log").read_text()[-2000:]
            try:
                with urllib.request.urlopen(f"{address}/ping", timeout=5):
                    break
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.5)
        else:
            raise AssertionError((folder / "log").read_text()[-2000:])
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def invoke(address: str, rows: list[dict[str, Any]]) -> Any:
    content = json.dumps({"dataframe_records": rows}).encode()
    request = urllib.request.Request(f"{address}/invocations", content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)["predictions"]


def test_a_server_of_mlflow_says_what_the_predictor_says(
    server: str, asked: list[Clip], wanted: np.ndarray, tmp_path: Path
) -> None:
    rows = []
    for one in asked:
        more = {"text": one.text, "start": one.start, "end": one.end}
        content = base64.b64encode(one.path.read_bytes()).decode()
        rows.append({"clip": content, **{name: value for name, value in more.items() if value is not None}})
    answers = invoke(server, rows)
    check([[a["probabilities"][label] for label in LABELS] for a in answers], wanted, "mlflow models serve", 1e-5)
    (alone,) = invoke(server, rows[7:8])
    assert alone["probabilities"] == pytest.approx(answers[7]["probabilities"], abs=1e-6)
    with pytest.raises(urllib.error.HTTPError) as refused:
        invoke(server, [{"path": str(asked[0].path)}])
    assert refused.value.code == 400 and b"Traceback" not in refused.value.read()
