"""The weights of any checkpoint as a model directory, by one process."""

from __future__ import annotations

import json
import resource
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dual_hpc.background import in_thread
from dual_hpc.checkpoint import commit
from dual_hpc.checkpoint.export import publish
from dual_hpc.config import load_config
from dual_hpc.errors import EnvironmentFault, UserError
from dual_hpc.files.digest import FileDigest, HashingWriter
from dual_hpc.group import SingleProcess
from dual_hpc.model import DualConfig, DualForEmotionClassification, build_tokenizer, load_model, save_model
from dual_hpc.model.confidence import Confidence, read_confidence
from dual_hpc.model_manifest import check_files
from dual_hpc.run.directory import RunDir
from dual_hpc.training.export import (
    MODEL_FILE,
    ModelWriter,
    export_checkpoint,
    write_description,
    written_description,
)
from dual_hpc.training.exporter import Exporter

CONFIG = DualConfig(labels=["calm", "cross"], hidden_size=16, num_heads=2, use_text=False, use_video=False)


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run whose checkpoints of steps 3 and 6 hold different weights."""
    run = RunDir.create(tmp_path / "run", load_config("demo", [f"store={tmp_path}"]))
    write_description(run, CONFIG)
    for step in (3, 6):
        save(run, step)
    return run


def weights(step: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(step)
    return DualForEmotionClassification(CONFIG).state_dict()


def save(run: RunDir, step: int) -> None:
    def write(folder: Path) -> dict[str, FileDigest]:
        name = "deepspeed/mp_rank_00_model_states.pt"
        (folder / name).parent.mkdir()
        file: Any = HashingWriter(folder / name)
        half = {key: value.bfloat16() if value.is_floating_point() else value for key, value in weights(step).items()}
        torch.save({"module": half}, file)
        return {name: file.finish()}

    commit.save(run.checkpoints, SingleProcess(), write, step=step, zero_stage=1, precision="bf16", state={})


def test_the_newest_or_the_named_step_is_exported_in_float32(run: RunDir, tmp_path: Path) -> None:
    for made, step in (
        (export_checkpoint(run.path), 6),
        (export_checkpoint(run.path, 3, tmp_path / "there" / "model"), 3),
    ):
        model, tokenizer = load_model(made)
        assert tokenizer is None and model.config.labels == ["calm", "cross"]
        for name, value in weights(step).items():
            assert torch.equal(model.state_dict()[name], value.bfloat16().float()), name
    assert (run.exports / "checkpoint-6").is_dir() and (tmp_path / "there" / "model").is_dir()
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_damaged_newest_is_skipped_but_an_error_if_it_was_asked_for(run: RunDir) -> None:
    file = run.checkpoints / "step_00000006" / "deepspeed" / "mp_rank_00_model_states.pt"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(EnvironmentFault, match="step_00000006 is damaged"):
        export_checkpoint(run.path, 6)
    assert export_checkpoint(run.path).name == "checkpoint-3"


def test_a_missing_checkpoint_and_an_existing_folder_are_user_errors(run: RunDir, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"step 4 .there are: 3, 6"):
        export_checkpoint(run.path, 4)
    with pytest.raises(UserError, match="exists"):
        export_checkpoint(run.path, out=tmp_path)
    (run.path / MODEL_FILE).unlink()
    with pytest.raises(UserError, match=MODEL_FILE):
        export_checkpoint(run.path)
    empty = RunDir.create(tmp_path / "empty", load_config("demo", [f"store={tmp_path}"]))
    with pytest.raises(UserError, match="no checkpoint yet"):
        export_checkpoint(empty.path)


def test_a_full_disk_is_one_line_and_leaves_nothing(run: RunDir, tmp_path: Path) -> None:
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, former[1]))
    try:
        with pytest.raises(EnvironmentFault, match="File too large") as caught:
            export_checkpoint(run.path, out=tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    assert "\n" not in str(caught.value) and not list(tmp_path.glob("out*"))


def test_a_folder_that_cannot_be_written_is_one_line(run: RunDir) -> None:
    with pytest.raises(EnvironmentFault, match="cannot be written"):
        export_checkpoint(run.path, out=run.config_file / "model")


def test_what_an_earlier_job_wrote_of_the_model_is_what_the_next_one_builds(run: RunDir, tmp_path: Path) -> None:
    new = RunDir.create(tmp_path / "new", load_config("demo", [f"store={tmp_path}"]))
    assert written_description(new) is None
    written = written_description(run)
    assert written is not None and written["audio"] == CONFIG.audio
    (run.path / MODEL_FILE).write_text(json.dumps({**written, "audio": [1]}))
    with pytest.raises(UserError, match=f"{MODEL_FILE}: audio"):
        written_description(run)
    (run.path / MODEL_FILE).unlink()  # as in runs of versions that did not write it
    assert written_description(run) == {}


def test_what_is_written_later_is_what_was_taken_and_draws_no_random_number(tmp_path: Path) -> None:
    def saved(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    writer, before = ModelWriter(CONFIG, None), torch.get_rng_state()
    for step in (3, 6):
        taken = weights(step)
        model = DualForEmotionClassification(CONFIG)
        model.load_state_dict(taken)
        save_model(model, None, tmp_path / f"whole-{step}")
        before = torch.get_rng_state()
        writer.take(taken)
        for value in taken.values():
            value.zero_()  # the training goes on
        in_thread(partial(writer.write, tmp_path / f"taken-{step}")).result()
        assert torch.equal(before, torch.get_rng_state())
        assert saved(tmp_path / f"taken-{step}") == saved(tmp_path / f"whole-{step}")
    assert saved(tmp_path / "taken-3") != saved(tmp_path / "taken-6")


def test_a_confidence_stays_with_its_weights_whatever_exports_them_again(run: RunDir) -> None:
    writer = ModelWriter(CONFIG, None)
    writer.take(weights(3))
    measured = Confidence(temperature=1.5, thresholds=[0.9], risks=[0.1], count=12, subset="avt")
    publish(run.exports, "best", 3, partial(writer.write, confidence=measured))
    assert read_confidence(run.exports / "best") == measured
    check_files(run.exports / "best")
    engine: Any = SimpleNamespace(deepspeed=SimpleNamespace(module=writer._model))
    world: Any = SimpleNamespace(rank=0)
    for name, step, kept in (("last", 3, measured), ("last", 6, None)):
        assert Exporter(run.exports, engine, world, writer, lambda: None).take(name, step)() is None
        assert read_confidence(run.exports / name) == kept
    assert read_confidence(run.exports / "best") == measured
    assert read_confidence(export_checkpoint(run.path, best=True)) == measured


def test_a_tokenizer_is_written_as_it_was_although_batches_are_read_meanwhile(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(["fine fine"])
    tokenizer.save_pretrained(tmp_path / "before")
    config = DualConfig(labels=["calm", "cross"], hidden_size=16, num_heads=2, use_text=False, use_video=False)
    writer = ModelWriter(config, tokenizer)
    writer.take(weights(3))
    tokenizer(["fine"], truncation=True, max_length=3, padding=True)  # changes its state
    writer.write(tmp_path / "model")
    name = "tokenizer.json"
    assert (tmp_path / "model" / name).read_bytes() == (tmp_path / "before" / name).read_bytes()
