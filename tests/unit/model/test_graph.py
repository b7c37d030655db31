"""A model as a graph for other programs gives the model's answers, for any batch and lengths, whatever is missing."""

from __future__ import annotations

import json
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.model.family import FAMILIES
from dual_hpc.model.graph import check_equal, export_graph, input_names, load_graph, save_graph
from dual_hpc.model.onnx_graph import PACKAGES, onnx_session, save_onnx


@pytest.fixture(scope="module")
def model(make_model: Any) -> Any:
    return make_model()


@pytest.fixture(scope="module")
def program(model: Any) -> Any:
    return export_graph(model)


def test_a_saved_graph_answers_as_the_model_whatever_the_clips(
    model: Any, program: Any, make_batch: Any, tmp_path: Path
) -> None:
    save_graph(program, tmp_path)
    run = load_graph(tmp_path)
    names = input_names(model)
    for missing in (("", "a", "v", "t", "avt"), ("",), ("avt",)):
        batch = make_batch(missing)
        with torch.no_grad():
            wanted, found = model(**batch).logits, run(*(batch[name] for name in names))
        assert torch.allclose(found, wanted, atol=1e-5), missing
    assert check_equal(model, lambda batch: run(*(batch[name] for name in names)), "model.pt2") < 1e-5


def test_onnxruntime_answers_as_the_model_whatever_the_clips(
    model: Any, program: Any, make_batch: Any, tmp_path: Path
) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    import onnx

    run = onnx_session(save_onnx(program, model, tmp_path))
    assert check_equal(model, run, "model.onnx") < 1e-4
    for missing in (("", "a", "v", "t", "avt"), ("",)):
        batch = make_batch(missing)
        with torch.no_grad():
            assert torch.allclose(run(batch), model(**batch).logits, atol=1e-5), missing
    kept = {entry.key: entry.value for entry in onnx.load(str(tmp_path / "model.onnx")).metadata_props}
    assert json.loads(kept["labels"]) == model.config.labels


def test_a_graph_that_answers_otherwise_is_refused(model: Any) -> None:
    def off(wrong: float, batch: Any) -> Any:
        return model(**batch).logits.detach() + wrong

    for wrong in (0.001, float("nan")):
        with pytest.raises(EnvironmentFault, match="differ from the model's"):
            check_equal(model, partial(off, wrong), "model.onnx")


def test_a_model_of_features_is_exported_after_its_encoders(make_model: Any) -> None:
    model = make_model("features")
    names = input_names(model)
    assert names == ["durations", "audio", "audio_lengths", "video", "video_lengths", "text", "text_lengths"]
    run = export_graph(model).module()
    assert check_equal(model, lambda batch: run(*(batch[name] for name in names)), "model.pt2") < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name in FAMILIES.names() if name != "dual"])
def test_every_family_has_a_graph(family: str, make_model: Any, tmp_path: Path) -> None:
    model = make_model(family=family)
    program = export_graph(model)
    save_graph(program, tmp_path)
    run, names = load_graph(tmp_path), input_names(model)
    assert check_equal(model, lambda batch: run(*(batch[name] for name in names)), "model.pt2") < 1e-5
    if all(find_spec(package) for package in PACKAGES):
        assert check_equal(model, onnx_session(save_onnx(program, model, tmp_path)), "model.onnx") < 1e-4


def test_a_model_that_has_no_graph_is_refused_in_one_line(make_model: Any) -> None:
    class Odd(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model, self.config = model, model.config

        def forward(self, **batch: torch.Tensor) -> Any:
            if float(batch["waveform"].sum()) > 0:
                return self.model(**batch)
            return self.model(**{**batch, "durations": batch["durations"] / 2})

    with pytest.raises(UserError, match="no graph for any lengths") as caught:
        export_graph(Odd(make_model()))
    assert "\n" not in str(caught.value)
