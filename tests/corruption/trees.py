"""Small, whole examples of everything that the product reads, one folder for each kind of place."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from dual_hpc.checkpoint import commit
from dual_hpc.config import load_config
from dual_hpc.config.load import PRESETS
from dual_hpc.config.schema import ModelConfig
from dual_hpc.data.format.columns_file import COLUMNS_NAME, write_columns
from dual_hpc.data.format.index import read_index
from dual_hpc.data.format.index_stream import columns_of_index
from dual_hpc.evaluation.prediction_file import write_predictions
from dual_hpc.files.digest import FileDigest
from dual_hpc.group import SingleProcess
from dual_hpc.inference.answered_files import Content, open_answers
from dual_hpc.model import build_model, build_tokenizer, save_model
from dual_hpc.run.alignment import AlignmentMatrices, append_alignment
from dual_hpc.run.directory import RunDir, Segment
from dual_hpc.run.journal import Journal
from dual_hpc.run.names import SYSTEM
from dual_hpc.tracking.sent import Sent
from launch.cluster.profiles import FOLDER as PROFILES
from launch.cluster.profiles import load_profile
from launch.commands.job_dir import JobDescription, JobDir, TaskEvent
from launch.records import failures, submissions
from launch.records.failures import Failure
from launch.sweeps.grid import SweepDir, folder, grid
from shards.options import PackOptions
from shards.pack_state import FinishedShard, PackState
from shards.packing import pack
from tests.unit.conftest import LABELS, PREPROCESSING
from tests.unit.data.conftest import Clip, flac_of, mp4_of, write_shards
from tests.unit.evaluation.comparison.made import corpus, predictions
from tests.unit.shards.conftest import write_iemocap, write_meld, write_video

from transformers import BertConfig, BertModel, ViTConfig, ViTModel, Wav2Vec2Config, Wav2Vec2Model  # isort: skip

_SMALL: dict[str, Any] = {
    **{"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
}
_SPEECH = {**_SMALL, "conv_dim": [8] * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
SCORES = {"subsets": {"av": {"ua": 0.5, "wa": 0.6}, "avt": {"ua": 0.7}}, "text_reliance": {"ua": 0.2}}


def store(root: Path) -> None:
    """Runs `good` and `odd`, a sweep `cv` of two, jobs `pack-1` and `pack-2`; `odd` has a checkpoint and a report."""
    sweep = SweepDir(folder(root, "cv"), grid("cv", ["seeds=0..1"]))
    request = load_config("demo", ["launch.profile=dev"]).launch
    for number, name in enumerate(["good", "odd", *(run.path.name for run in sweep.runs())]):
        run = RunDir.create(
            root / "runs" / name, load_config("demo", [f"name={name}", f"store={root}", "tracking.enabled=false"])
        )
        entry = submissions.Entry(event="submit", job_id=str(number), request=request, profile=load_profile("dev"))
        submissions.record(run.path, entry)
        run.append_segment(Segment(event="start", job_id=str(number)))
        run.append_segment(Segment(event="end", job_id=str(number), reason="failed", step=3))
        failed = Failure(job_id=str(number), rank=0, host="n1", message="a fault", exit_code=1, log="rank_0000.log")
        failures.record(run.logs, failed)
        (run.logs / "rank_0000.log").write_text("beginning: job 1\nstep 1/9  loss 1.0\n")
        with Journal(run.journal) as journal:
            journal.event("start", step=0, total_steps=9)
            journal.metrics(3, {"train/loss": 0.25, "val/av/ua": 0.5})
            journal.event("best", step=3, score=0.5)
        (run.path / SYSTEM).mkdir()
        with Journal(run.path / SYSTEM / "n1.jsonl") as journal:
            journal.metrics(10, {"system/cpu_utilization_percentage": 12.5})
        matrices = {"static": [[0.5, -0.25], [0.0, 1.0]]}
        shown = AlignmentMatrices(step=3, epoch=1.0, key="a", seconds=0.2, matrices=matrices)
        append_alignment(run.path, [shown, shown.model_copy(update={"key": "b"})])
        Sent(run.path, "sqlite a").note(run.journal, run.journal.stat().st_size)
        (run.reports / "test_best.json").write_text(json.dumps(SCORES))
        (run.reports / "test_best.md").write_text("# Evaluation\n")
        made = predictions(corpus(3, 4), {"av": 0.5, "avt": 0.8, "mismatched text": 0.4})
        write_predictions(run.reports / "test_best_predictions.jsonl", made)
        commit.save(
            run.checkpoints, SingleProcess(), _tensors, step=3, zero_stage=0, precision="fp32", state={"step": 3}
        )
        with zipfile.ZipFile(run.path / "code.zip", "w") as code:
            code.writestr("plugged/__init__.py", "ANSWER = 42\n")
        (run.path / "lease.json").write_text(
            '{"token": "a", "job_id": "9", "incarnation": 0, "machine": "m", "pid": 1, "born": "1"}'
        )
    for _ in range(2):
        job = JobDir.make(root, "pack")
        job.save(JobDescription(words=["pack"], job_ids=["8"], folder="/", profile="dev", request=request))
        job.record(TaskEvent(task=0, event="end", exit_code=1))
        (job.logs / "task_0000.log").write_text("dual-hpc: error: a fault\n")
    sweep.path.mkdir(parents=True)
    sweep.save()


def _tensors(target: Path) -> dict[str, FileDigest]:
    from dual_hpc.checkpoint.deepspeed_io import write_file

    (target / "deepspeed").mkdir()
    name = "deepspeed/mp_rank_00_model_states.pt"
    return {name: write_file({"module": {"a": torch.arange(100.0)}}, target / name)}


def shards(root: Path) -> None:
    """Packed media in `media`, features in `features`, and a pack that was interrupted."""
    clip = Clip(0.4, flac_of(0.4), mp4_of(0.4), "so it goes")
    (root / "clip.mp4").write_bytes(mp4_of(0.4))
    soundfile.write(root / "tone.wav", np.sin(np.arange(8_000) / 10) / 3, 16_000, subtype="PCM_16")
    rows = [f"u{n},tone.wav,clip.mp4,so it goes,{label}" for n, label in enumerate(("sad", "happy", "sad"))]
    (root / "mine.csv").write_text("\n".join(["id,audio,video,text,label", *rows]) + "\n")
    pack("manifest", root / "mine.csv", root / "media", PackOptions(video_size=24, shard_samples=2), 1, progress=False)
    write_columns(root / "media" / COLUMNS_NAME, *columns_of_index(root / "media"))
    npy: dict[str, np.ndarray] = {"audio": np.ones((20, 6), np.float16), "video": np.ones((2, 4), np.float32)}
    write_shards(root / "features", [[Clip(0.4, npy=npy)], [Clip(0.4, npy=npy)]], kind="features", sums=True)
    write_shards(root / "unfinished", [[clip]], sums=True)
    state = PackState(root / "unfinished")
    state.folder.mkdir()
    (state.folder / "plan-x").touch()
    state.finish(0, FinishedShard(shard=read_index(root / "unfinished").shards[0], skips=[("a", "b")]))


def model(root: Path) -> None:
    """A saved model, and clips and a manifest for it."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer(["so it goes", "so it never goes"], minimum_count=1)
    config = ModelConfig(hidden_size=16, num_heads=2, residual_layers=1, decoder_layers=1)
    made = build_model(config, LABELS, PREPROCESSING, [10, 20, 40, 30], tokenizer)
    save_model(made, tokenizer, root / "model")
    clips = root / "clips"
    clips.mkdir()
    write_video(clips / "clip.mp4", 0.8, (64, 48), "libx264", "stereo")
    write_video(clips / "clip.avi", 0.8, (64, 48), "mpeg4")
    tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(8_000) / 16_000)
    soundfile.write(clips / "tone.wav", tone, 16_000, subtype="PCM_16")
    soundfile.write(clips / "tone.flac", tone, 16_000)
    lines = [{"input": "clips/tone.wav", "text": "so it goes"}, {"input": "clips/tone.flac", "start": 0.1, "end": 0.4}]
    (root / "batch.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with open_answers(root / "answers.jsonl") as answers:
        for name in ("a.wav", "b.wav"):
            answers.append(name, Content(10, 20, "abc"), [{"input": name, "label": "sad"}] * 2)


def pretrained(root: Path) -> None:
    """Directories of three architectures as other people save them, one with pickled weights."""
    torch.manual_seed(0)
    Wav2Vec2Model(Wav2Vec2Config(**_SPEECH)).save_pretrained(root / "speech")
    (root / "speech" / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
    ViTModel(ViTConfig(**_SMALL, image_size=32, patch_size=16)).save_pretrained(root / "image")
    scale = {"do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (root / "image" / "preprocessor_config.json").write_text(json.dumps(scale))
    tokenizer = build_tokenizer(["so it goes", "so it never goes"], minimum_count=1)
    text = BertModel(BertConfig(**_SMALL, vocab_size=len(tokenizer), max_position_embeddings=32))
    text.config.save_pretrained(root / "text")
    torch.save(text.state_dict(), root / "text" / "pytorch_model.bin")
    tokenizer.save_pretrained(root / "text")


def corpora(root: Path) -> None:
    """A manifest as CSV and as JSON lines, a tiny IEMOCAP and a tiny MELD."""
    media = root / "media"
    media.mkdir(parents=True)
    write_video(media / "clip.mp4", 0.4, (64, 48), "libx264", "stereo")
    write_video(media / "stereo.mp4", 0.4, (64, 48), "libx264", "stereo")
    write_video(media / "short.mp4", 0.064, (64, 48), "libx264", "stereo")
    write_video(media / "halves.avi", 0.4, (72, 48), "mpeg4")
    soundfile.write(media / "tone.wav", np.zeros(1_600) + 0.1, 16_000, subtype="PCM_16")

    def put(name: str, target: Path) -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(media / name, target))

    write_iemocap(root / "iemocap", put)
    write_meld(root / "meld", put)
    (root / "mine.csv").write_text("audio,text,label\nmedia/tone.wav,so it goes,sad\nmedia/tone.wav,never,happy\n")
    rows = [{"audio": "media/tone.wav", "label": "sad", "text": "so"}, {"video": "media/clip.mp4", "label": "happy"}]
    (root / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def configs(root: Path) -> None:
    """A preset and a cluster profile as files of a user."""
    root.mkdir(exist_ok=True)
    shutil.copyfile(PRESETS / "iemocap4.yaml", root / "preset.yaml")
    shutil.copyfile(PROFILES / "jean-zay-h100.yaml", root / "profile.yaml")


TREES: dict[str, Callable[[Path], None]] = {
    "store": store,
    "shards": shards,
    "model": model,
    "pretrained": pretrained,
    "corpora": corpora,
    "configs": configs,
}
