"""A trained model as an ordinary Hugging Face model: float32, independent of DeepSpeed.

While a run trains it publishes `export/best` and `export/last` itself; they are kept when their checkpoints are
deleted. `export_checkpoint` makes the same from any checkpoint, with one process and no GPU.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from dual_hpc.checkpoint import select
from dual_hpc.checkpoint.commit import rename_into_place
from dual_hpc.checkpoint.manifest import BadManifest, Manifest
from dual_hpc.checkpoint.manifest import load as load_manifest
from dual_hpc.errors import DualError, EnvironmentFault, UserError
from dual_hpc.files.atomic import write_atomically
from dual_hpc.files.flush import flush_folder, flush_tree
from dual_hpc.files.real_path import real_path
from dual_hpc.group import SingleProcess
from dual_hpc.model import EmotionConfig, EmotionModel, load_model, load_tokenizer, read_description, save_model
from dual_hpc.model.confidence import Confidence, write_confidence
from dual_hpc.model.encoders.frozen import FrozenEncoders
from dual_hpc.model.encoders.origin import load_encoders, recorded_encoders, save_encoders
from dual_hpc.model.encoders.pretrained import read_json
from dual_hpc.model.encoders.registry import MODALITIES
from dual_hpc.model.family import FAMILIES, family_of
from dual_hpc.model.graph import check_equal, export_graph, input_names, load_graph, save_graph
from dual_hpc.model.onnx_graph import onnx_session, require_packages, save_onnx
from dual_hpc.model_manifest import CARD, CONFIG, same_files, write_manifest
from dual_hpc.plugins import load_plugins
from dual_hpc.run.directory import RunDir
from dual_hpc.run.names import step_folder
from dual_hpc.training.card_facts import card_facts, confidence_of
from dual_hpc.training.model_card import model_card

MODEL_FILE = "model.json"  # in the run directory: the model's configuration, labels and preprocessing included


class ModelWriter:
    """Saves gathered weights so that `load_model` reads them: taken in one thread, written in any.

    It makes a model of its own, once: the trained one is partitioned (ZeRO-3) or in half precision, would write that
    into its configuration, and changes meanwhile. It takes float32 of all weights in host memory from the first `take`.
    """

    def __init__(self, config: EmotionConfig, tokenizer: Any) -> None:
        # A tokenizer has a state, which whoever reads batches changes.
        self._config, self._tokenizer = config, copy.deepcopy(tokenizer)
        self._model: EmotionModel | None = None

    def take(self, weights: dict[str, torch.Tensor]) -> None:
        """Copy the weights; those that were taken before are written by then."""
        if self._model is None:
            with torch.random.fork_rng(devices=[]):  # its initialization must not change the training's random state
                self._model = FAMILIES.get(self._config.model_type).model_class(self._config).float()
        self._model.load_state_dict(weights)

    def write(self, folder: Path, confidence: Confidence | None = None) -> None:
        """Save the model with the weights that were taken last, and how sure it may be of its answers.

        Raises:
            OSError: it cannot be written.
        """
        assert self._model is not None, "no weights were taken"
        _save(self._model, self._tokenizer, folder)
        if confidence is not None:
            write_confidence(confidence, folder)
            write_manifest(folder)


def _save(model: EmotionModel, tokenizer: Any, folder: Path) -> None:
    try:
        save_model(model, tokenizer, folder)
    except Exception as error:
        if not isinstance(error, SafetensorError) and type(error) is not Exception:
            raise
        # The libraries of the weights and of the tokenizer hide the error of a failed write in their own.
        raise OSError(f"writing {folder.name} failed: {error}") from error


def write_description(run: RunDir, config: EmotionConfig) -> None:
    """Write the configuration of the model to the run directory (rank 0, at the start of a job).

    Raises:
        EnvironmentFault: it cannot be written.
    """
    try:
        write_atomically(run.path / MODEL_FILE, config.to_json_string())
    except OSError as error:
        raise EnvironmentFault(f"{run.path / MODEL_FILE} cannot be written: {error.strerror}") from error


def written_description(run: RunDir) -> dict[str, Any] | None:
    """What `write_description` wrote in an earlier job, as plain data; `{}` if that job's version wrote none.

    A setting of the model that came later, and that config.yaml does not name, keeps the meaning that it had when the
    run began.

    Returns:
        None where no job has begun to train yet.

    Raises:
        UserError: the file is damaged.
    """
    file = run.path / MODEL_FILE
    if not file.is_file():
        return {} if select.steps(run.checkpoints) else None
    content = read_json(run.path, MODEL_FILE, "model")
    if mistake := family_of(content, file).config_class.first_mistake(content):
        raise UserError(f"model: {file}: {mistake}")
    return content


def export_checkpoint(
    run_dir: str | Path,
    step: int | None = None,
    out: str | Path | None = None,
    *,
    encoders: bool = False,
    best: bool = False,
    graphs: Collection[str] = (),
) -> Path:
    """Write the weights of a checkpoint as a model directory: config.json, model.safetensors, tokenizer files, a card.

    The files equal an export by the training itself at this step, bit for bit. Every file is verified before it is
    read. Needs memory for twice the model.

    Args:
        step: of a committed checkpoint; None for the latest verified one.
        out: a folder that does not exist yet; None for `export/checkpoint-STEP` in the run directory, which is left as
            it is where it holds the same, and replaced where it is damaged or was changed.
        best: instead of a checkpoint's, the weights of `export/best`, which its checkpoint may not outlive.
        encoders: of a model of features, put the encoders that made them into the folder, which then answers media
            wherever it is copied; None for `out` is then `export/checkpoint-STEP-with-encoders`.
        graphs: "torch" also writes `model.pt2`, "onnx" `model.onnx` (`dual_hpc/model/graph.py`), each only where its
            answers equal the model's.

    Returns:
        The folder.

    Raises:
        UserError: the run has no such checkpoint or weights, `out` exists, the encoders are not known or not there, or
            the model has no such graph.
        EnvironmentFault: the checkpoint is damaged, a graph answers otherwise, or `out` cannot be written.
    """
    if "onnx" in graphs:
        require_packages()
    if out is not None and Path(out).exists():
        raise UserError(f"--out: {out} exists; name another folder, or remove it")
    run = RunDir.open(run_dir)
    load_plugins(run.config().plugins, run.code)
    source = _best(run) if best else _of_checkpoint(run, step)
    name = f"{'best' if best else 'checkpoint'}-{source.step}{'-with-encoders' if encoders else ''}"
    final = Path(out) if out is not None else run.exports / name
    given_along = _encoders(source.config, run) if encoders else None
    model, tokenizer = source.read()
    temporary = final.with_name(f".{final.name}.tmp")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _save(model, tokenizer, temporary)
        write_atomically(temporary / CARD, model_card(card_facts(run, model, source.step)))
        if given_along is not None:
            save_encoders(given_along, temporary)
        if confidence := confidence_of(run, source.step, model.config.labels):
            write_confidence(confidence, temporary)
        _write_graphs(model, temporary, graphs)
        if given_along is not None or graphs or confidence:
            write_manifest(temporary)
        card = final / CARD
        if final.is_dir() and same_files(final, temporary):
            if not card.exists():
                os.rename(temporary / CARD, card)
            shutil.rmtree(temporary)
            return final
        if card.is_file():  # it may be the owner's by now
            shutil.copyfile(card, temporary / CARD)
        flush_tree(temporary)
        rename_into_place(temporary, final)
        flush_folder(final.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise EnvironmentFault(f"{final} cannot be written: {error.strerror or error}") from error
    except DualError:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return final


def _write_graphs(model: EmotionModel, folder: Path, graphs: Collection[str]) -> None:
    """Add graphs that have answered as the model does."""
    if not graphs:
        return
    program = export_graph(model.eval())
    if "torch" in graphs:
        save_graph(program, folder)
        run, names = load_graph(folder), input_names(model)
        check_equal(model, lambda batch: run(*(batch[name] for name in names)), "--torch-export")
    if "onnx" in graphs:
        check_equal(model, onnx_session(save_onnx(program, model, folder)), "--onnx")


@dataclass(frozen=True)
class _Source:
    """Where weights come from; `read` gives the model and its tokenizer."""

    step: int
    config: EmotionConfig
    read: Callable[[], tuple[EmotionModel, Any]]


def _best(run: RunDir) -> _Source:
    folder = run.exports / "best"
    step = re.match(r"step_(\d+)", real_path(folder).name)
    if not (folder / CONFIG).is_file() or step is None:
        raise UserError(f"--best: {run.path.name} has no {folder.parent.name}/{folder.name}: nothing was validated yet")
    return _Source(int(step[1]), read_description(folder / CONFIG), partial(load_model, real_path(folder)))


def _of_checkpoint(run: RunDir, step: int | None) -> _Source:
    folder, manifest = _checkpoint(run, step)
    config = _description(run)
    return _Source(manifest.step, config, partial(_read_checkpoint, run, folder, manifest, config))


def _read_checkpoint(run: RunDir, folder: Path, manifest: Manifest, config: EmotionConfig) -> tuple[EmotionModel, Any]:
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # otherwise DeepSpeed warns that a login node has no GPU
    from dual_hpc.checkpoint.deepspeed_io import FOLDER, VerifiedFiles
    from dual_hpc.checkpoint.weights import full_weights

    tokenizer = load_tokenizer(run.tokenizer) if config.reads_words else None
    files = VerifiedFiles()
    files.allow(folder, manifest)
    weights = full_weights(
        lambda name: files.load(str(folder / name), map_location="cpu", mmap=True),
        [name for name in manifest.files if name.startswith(f"{FOLDER}/")],
        manifest.zero_stage,
        manifest.world_size,
        manifest.precision,
    )
    writer = ModelWriter(config, tokenizer)
    writer.take(weights)
    assert writer._model is not None
    return writer._model, tokenizer


def _encoders(config: EmotionConfig, run: RunDir) -> list[FrozenEncoders]:
    if not config.reads_features:
        raise UserError("--with-encoders: the model reads media and has its encoders in it; leave the option out")
    used = [name for name in MODALITIES if getattr(config, f"use_{name}")]
    return load_encoders(recorded_encoders(config.to_dict(), run.path), used, run.path, load_model)


def _checkpoint(run: RunDir, step: int | None) -> tuple[Path, Manifest]:
    if step is None:
        choice = select.latest_verified(run.checkpoints, SingleProcess())
        if choice is None:
            raise UserError(f"{run.path.name} has no checkpoint yet")
        return choice.folder, choice.manifest
    folder = run.checkpoints / step_folder(step)
    if not folder.is_dir():
        existing = ", ".join(map(str, select.steps(run.checkpoints))) or "none"
        raise UserError(f"--step: {run.path.name} has no checkpoint of step {step} (there are: {existing})")
    if reasons := select.verify(folder):
        raise EnvironmentFault(f"{folder.name} is damaged: {reasons[0]}")
    try:
        return folder, load_manifest(folder)
    except BadManifest as error:
        raise EnvironmentFault(f"{folder.name} is damaged: {error}") from error


def _description(run: RunDir) -> EmotionConfig:
    file = run.path / MODEL_FILE
    if not file.is_file():
        raise UserError(
            f"{run.path.name} has no {MODEL_FILE}: an earlier version trained it; its export folder has its weights"
        )
    return read_description(file)
