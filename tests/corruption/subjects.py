"""Every kind of file that the product reads, and the commands, or calls, that read it."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Read = tuple[str, ...] | Callable[[], str]  # the words of a command, or a call that returns what it has read


@dataclass(frozen=True)
class Subject:
    """One file of a tree.

    Attributes:
        file: relative to the tree, which is the working directory of whoever reads.
        listing: names that the first command must show, with exit code 0, whatever the file holds.
        proven: there is a hash of it, so an answer from other bytes must be the same answer, or none.
        noticed: the last command must end with another code than 0 if the file has other bytes.
    """

    tree: str
    file: str
    reads: tuple[Read, ...]
    listing: tuple[str, ...] = ()
    proven: bool = False
    noticed: bool = False

    @property
    def kind(self) -> str:
        return f"{self.tree}: {self.file}"


def _samples(folder: str) -> Read:
    def read() -> str:
        from dual_hpc.config.schema import DataConfig
        from dual_hpc.data.dataset import ShardDataset
        from dual_hpc.data.decoding.decoder import DecodeConfig, Request, SampleDecoder
        from dual_hpc.data.format.reader import SampleReader

        data = ShardDataset([folder])
        decoder = SampleDecoder(DecodeConfig(DataConfig(image_size=32), features=data.features()))
        said = []
        with SampleReader() as reader:
            for number in range(len(data)):
                request = Request(data.ref(number), 0)
                sample = decoder.decode(request, reader.read(data.ref(number), decoder.members_to_read(request)))
                arrays = [sample.waveform, sample.frames, *sample.features.values()]
                content = (
                    b"".join(array.tobytes() for array in arrays if array is not None) + repr(sample.text).encode()
                )
                said.append("damaged" if sample.failure else hashlib.sha256(content).hexdigest()[:8])
        return " ".join([*said, *data.texts(range(len(data)))])

    return read


def _columns(folder: str) -> Read:
    """What is known of the samples of a folder whose index counts as large."""

    def read() -> str:
        from dual_hpc.data.format.columns_cache import open_columns
        from dual_hpc.data.format.table import SampleTable
        from dual_hpc.data.format.utterances import Utterances

        os.environ["XDG_CACHE_HOME"] = str(Path("cache").absolute())
        columns = open_columns(Path(folder), least=0)
        table = SampleTable([Path(folder)], [columns])
        return "\n".join([*map(repr, Utterances([columns])), *(repr(table.ref(n)) for n in range(len(table)))])

    return read


def _plan(corpus: str, source: str) -> Read:
    def read() -> str:
        from shards.corpora import CORPORA, corpus_of

        plan = CORPORA.get(corpus).read(Path(source))
        corpus_of(plan.corpus)
        return "\n".join([*(one.key for one in plan.utterances), *(f"{s.where}: {s.reason}" for s in plan.skips)])

    return read


def _encoder(modality: str, kind: str, path: str) -> Read:
    def read() -> str:
        from dual_hpc.config.schema import ModelConfig
        from dual_hpc.model import build_model, load_tokenizer
        from tests.unit.conftest import LABELS, PREPROCESSING

        uses = {f"use_{name}": name == modality for name in ("audio", "video", "text")}
        sizes = {"hidden_size": 16, "num_heads": 2, modality: {"kind": kind, "path": path}}
        config = ModelConfig.model_validate({**sizes, **uses})
        tokenizer = load_tokenizer(path) if modality == "text" else None
        return str(sum(p.numel() for p in build_model(config, LABELS, PREPROCESSING, None, tokenizer).parameters()))

    return read


def _predictions(path: str) -> Read:
    def read() -> str:
        from dual_hpc.evaluation.prediction_file import read_predictions
        from dual_hpc.evaluation.prediction_set import result_of
        from dual_hpc.evaluation.report import markdown

        return markdown(result_of(read_predictions(Path(path))))

    return read


def _answers(path: str) -> Read:
    def read() -> str:
        from dual_hpc.inference.answered_files import read_answers

        return repr(read_answers(Path(path)))

    return read


def _config(path: str) -> Read:
    def read() -> str:
        from dual_hpc.config import load_config

        return load_config(path).data.protocol

    return read


def _profile(path: str) -> Read:
    def read() -> str:
        from launch.cluster.profiles import load_profile

        return load_profile(path).description

    return read


def _pack_state(folder: str) -> Read:
    def read() -> str:
        from shards.pack_state import PackState

        found = PackState(Path(folder)).read(0)
        return "nothing" if found is None else f"{found.shard} {found.skips}"

    return read


def _plugin(archive: str) -> Read:
    def read() -> str:
        from dual_hpc.plugins import load_plugins

        load_plugins(["plugged"], Path(archive))
        return str(sys.modules["plugged"].ANSWER)

    return read


def _report(folder: str) -> Read:
    def read() -> str:
        from launch.cli.pack import summary
        from shards.report import read_report

        return summary(read_report(Path(folder)), Path(folder))

    return read


def _mlflow_form(report: str, folder: str) -> Read:
    """What goes to MLflow, without a server."""

    def read() -> str:
        from dual_hpc.files.regular_file import read_bytes
        from dual_hpc.run import journal
        from dual_hpc.run.directory import RunDir
        from dual_hpc.tracking.figures import training_curves
        from dual_hpc.tracking.mlflow_format import flatten, report_metrics

        run = RunDir.open(folder)
        training_curves(journal.replay(journal.read(run.journal)), run.path.name)
        flatten(run.config().model_dump(mode="json"))
        file = Path(folder) / "reports" / report
        return str(report_metrics(file.stem, read_bytes(file)))

    return read


def _alignment(folder: str) -> Read:
    """The alignment matrices and their figure."""

    def read() -> str:
        from dual_hpc.run.alignment import read_alignment
        from dual_hpc.tracking.alignment_figure import alignment_figure

        found = read_alignment(Path(folder))
        return f"{len(alignment_figure(found).axes)} {found}"

    return read


def _sent_and_sampled(folder: str) -> Read:
    """What was sent to MLflow already, and what the nodes of a run have noted."""

    def read() -> str:
        from dual_hpc.run import journal
        from dual_hpc.run.directory import RunDir
        from dual_hpc.run.names import SYSTEM
        from dual_hpc.tracking.sent import Sent

        run = RunDir.open(folder)
        sent = Sent(run.path, "sqlite a")
        said = [str(sent.bytes_of(run.journal))]
        said += [str(journal.replay(journal.read(file))) for file in sorted((run.path / SYSTEM).glob("*.jsonl"))]
        sent.note(run.journal, run.journal.stat().st_size)
        return " ".join([*said, str(sent.bytes_of(run.journal))])

    return read


RUN, JOB = "runs/odd", "jobs/pack-1"
_ALL = ("runs", "--store", ".", "--json")
_SWEEP = ("sweep", "--show", "cv", "--store", ".")
_REST = ("good", "pack-2", "cv.seed-1")
_OF_RUN = (_ALL, *((verb, "odd", "--store", ".") for verb in ("status", "why", "logs")), ("runs", "--store", "."))
_OF_JOB = (_ALL, *((verb, "pack-1", "--store", ".") for verb in ("status", "why", "logs")))
_CHECKPOINTS = (("ckpt", "ls", "odd", "--store", "."), ("ckpt", "verify", "odd", "--store", "."))
_STEP = f"{RUN}/checkpoints/step_00000003"
_PREDICT = ("predict", "--model", "model", "--device", "cpu", "--input")

SUBJECTS = (
    *(
        Subject("store", f"{RUN}/{name}", _OF_RUN, _REST)
        for name in ("run.json", "config.yaml", "journal.jsonl", "segments.jsonl", "submissions.jsonl", "lease.json")
    ),
    *(Subject("store", f"{RUN}/logs/{name}", _OF_RUN, _REST) for name in ("failures.jsonl", "rank_0000.log")),
    *(
        Subject("store", f"{RUN}/{name}", (_mlflow_form("test_best.json", RUN),))
        for name in ("config.yaml", "journal.jsonl", "reports/test_best.json")
    ),
    Subject(
        "store",
        f"{RUN}/reports/test_best_predictions.jsonl",
        (_predictions(f"{RUN}/reports/test_best_predictions.jsonl"),),
    ),
    *(
        Subject("store", f"{RUN}/{name}", (_sent_and_sampled(RUN),))
        for name in (".mlflow_sent.json", "system/n1.jsonl")
    ),
    Subject("store", f"{RUN}/alignment.jsonl", (_alignment(RUN),)),
    Subject("store", f"{RUN}/code.zip", (_plugin(f"{RUN}/code.zip"),)),
    *(Subject("store", f"{JOB}/{name}", _OF_JOB, _REST) for name in ("job.json", "tasks.jsonl", "logs/task_0000.log")),
    Subject("store", "sweeps/cv/sweep.json", (_ALL, _SWEEP, ("status", "cv", "--store", ".")), _REST),
    *(
        Subject("store", f"runs/cv.seed-0/{name}", (_SWEEP, ("status", "cv", "--store", ".")), ("cv.seed-1",))
        for name in ("journal.jsonl", "submissions.jsonl", "segments.jsonl", "config.yaml", "reports/test_best.json")
    ),
    Subject("store", f"{_STEP}/manifest.json", _CHECKPOINTS, ("step_00000003",), noticed=True),
    Subject("store", f"{_STEP}/deepspeed/mp_rank_00_model_states.pt", _CHECKPOINTS, ("step_",), noticed=True),
    Subject("shards", "media/index.json", (("inspect", "media"), ("inspect", "--verify", "media"), _samples("media"))),
    Subject("shards", "media/index.json", (_columns("media"),)),
    Subject("shards", "media/index.columns", (_columns("media"),), proven=True),
    Subject("shards", "media/shard-00000.tar", (_samples("media"), ("inspect", "--verify", "media")), noticed=True),
    Subject("shards", "media/shard-00001.tar", (_samples("media"),), proven=True),
    Subject("shards", "media/report.json", (_report("media"),)),
    Subject("shards", "features/index.json", (_samples("features"), ("inspect", "features"))),
    Subject("shards", "features/shard-00000.tar", (_samples("features"),), proven=True),
    Subject("shards", "unfinished/.pack/00000.json", (_pack_state("unfinished"),)),
    *(
        Subject(
            "model",
            f"model/{name}",
            ((*_PREDICT, "clips/tone.wav", "--text", "so it goes"),),
            proven=True,
            noticed=True,
        )
        for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "manifest.json")
    ),
    *(
        Subject("model", f"clips/{name}", ((*_PREDICT, f"clips/{name}"), (*_PREDICT, "clips")))
        for name in ("clip.mp4", "clip.avi", "tone.wav", "tone.flac")
    ),
    Subject("model", "batch.jsonl", ((*_PREDICT, "batch.jsonl"),)),
    *(
        Subject("pretrained", f"speech/{name}", (_encoder("audio", "wav2vec2", "speech"),))
        for name in ("config.json", "model.safetensors", "preprocessor_config.json")
    ),
    *(
        Subject("pretrained", f"image/{name}", (_encoder("video", "vit", "image"),))
        for name in ("config.json", "model.safetensors", "preprocessor_config.json")
    ),
    *(
        Subject("pretrained", f"text/{name}", (_encoder("text", "bert", "text"),))
        for name in ("config.json", "pytorch_model.bin", "tokenizer.json", "tokenizer_config.json")
    ),
    Subject("corpora", "mine.csv", (_plan("manifest", "mine.csv"),)),
    Subject("corpora", "mine.jsonl", (_plan("manifest", "mine.jsonl"),)),
    *(
        Subject("corpora", f"iemocap/Session1/dialog/{name}/Ses01F_impro01.txt", (_plan("iemocap", "iemocap"),))
        for name in ("EmoEvaluation", "transcriptions")
    ),
    Subject("corpora", "meld/train_sent_emo.csv", (_plan("meld", "meld"),)),
    Subject("configs", "preset.yaml", (_config("preset.yaml"),)),
    Subject("configs", "profile.yaml", (_profile("profile.yaml"),)),
    Subject("model", "answers.jsonl", (_answers("answers.jsonl"),)),
)
