"""Every kind of encoder, through the whole of its life: `python -m benchmarks.encoders [--kinds whisper clip]`.

From a tiny folder of weights that transformers itself writes, each kind is trained for a step on two ranks under ZeRO
1, 2 and 3 and by plain PyTorch, exported and loaded again, asked about a clip, and used to extract features. Nothing is
downloaded. The table says of each what was equal and by how much it differs; a kind that fails says why, and the rest
goes on.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from benchmarks import record
from dual_hpc.config import RunConfig, validate
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.format.reader import SampleReader
from dual_hpc.errors import one_line
from dual_hpc.inference import Predictor
from dual_hpc.model import build_model, build_tokenizer, load_model, save_model
from dual_hpc.model.encoders.kinds import KINDS
from dual_hpc.model.encoders.pretrained import Architecture
from dual_hpc.training.distributed import World, init_distributed
from dual_hpc.training.engine import Engine
from dual_hpc.training.optimizer import parameter_groups
from launch.job.ports import LOOPBACK, free_port
from shards.encoders import encoders_of_model
from shards.extraction import extract
from shards.options import PackOptions
from shards.packing import pack

import transformers  # isort: skip  (after the torchaudio stub)

LABELS, STAGES, RANKS, CLIPS = ["a", "b", "c"], (1, 2, 3), 2, 4
PREPROCESSING = {"sample_rate": 16_000, "image_size": 32, "video_hz": 5.0, "max_seconds": 3.0, "max_tokens": 16}
TEXTS = ["are you there", "who is there then", "you are here", "who are you"]
COLUMNS = ("zero 1", "zero 2", "zero 3", "export", "predict", "extract")


def tokenizer() -> Any:
    return build_tokenizer(TEXTS, minimum_count=1)


def config_of(modality: str, kind: str, path: str | None, stage: int = 0) -> RunConfig:
    """A model of this modality alone, in fp32 and without dropout, which ranks would draw differently."""
    model = {"family": f"{modality}_only", "hidden_size": 16, "num_heads": 2, "dropout": 0, "options": {"width": 16}}
    return validate(
        {
            "data": {"global_batch": 2 * RANKS},
            "model": {**model, modality: {"kind": kind, "path": path}},
            "training": {"zero_stage": stage, "precision": "fp32"},
        }
    )


def model_of(config: RunConfig) -> Any:
    torch.manual_seed(0)
    made = build_model(config.model, LABELS, PREPROCESSING, [2, 1, 1], tokenizer())
    for module in made.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return made


def write_folder(modality: str, kind: str, folder: Path) -> None:
    """Random weights as transformers writes them."""
    fresh = build_model(config_of(modality, kind, None).model, LABELS, PREPROCESSING, [2, 1, 1], tokenizer())
    config = getattr(fresh.config, modality)["config"]
    if "model_type" not in config:
        return
    without = {key: 0.0 for key in config if "dropout" in key or key.endswith(("pdrop", "drop_path_rate"))}
    torch.manual_seed(1)
    made = Architecture(config["model_type"]).config_class.from_dict({**config, **without})
    transformers.AutoModel.from_config(made).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


def batch_of(modality: str) -> dict[str, torch.Tensor]:
    """Two utterances for each rank, of unlike lengths; the last has nothing to hear, see or read."""
    random = torch.Generator().manual_seed(2)
    size = 2 * RANKS
    found = {"durations": torch.full((size,), 1.2), "labels": torch.arange(size) % len(LABELS)}
    if modality == "audio":
        lengths = torch.tensor([16_000, 9_000, 12_345, 0])
        return {**found, "waveform": torch.randn(size, 16_000, generator=random) / 10, "waveform_lengths": lengths}
    if modality == "video":
        frames = torch.randint(0, 256, (size, 6, 3, 32, 32), generator=random, dtype=torch.uint8)
        return {**found, "frames": frames, "frame_lengths": torch.tensor([6, 3, 5, 0])}
    mask = (torch.arange(7) < torch.tensor([7, 3, 5, 0]).unsqueeze(1)).long()
    return {**found, "input_ids": torch.randint(4, 10, (size, 7), generator=random), "attention_mask": mask}


def losses_of_ranks(work: Path, kinds: list[tuple[str, str]]) -> None:
    """Of each kind and stage the losses before and after a step, of a batch that the ranks share."""
    results: dict[str, Any] = {}
    with init_distributed(4) as world:
        for modality, kind in kinds:
            for stage in STAGES:
                results[f"{modality} {kind} {stage}"] = _under_zero(work, modality, kind, stage, world)
                if world.rank == 0:
                    (work / "ranks.json").write_text(json.dumps(results))


def _under_zero(work: Path, modality: str, kind: str, stage: int, world: World) -> list[float]:
    config = config_of(modality, kind, str(work / modality / kind), stage)
    engine = Engine(model_of(config).train(), config, world.size, 1)
    mine = {name: values[2 * world.rank : 2 * world.rank + 2] for name, values in batch_of(modality).items()}
    losses = []
    for _ in range(2):
        loss = engine.deepspeed(**mine).loss
        engine.backward(loss)
        engine.finish_step(apply=True)
        losses.append(sum(world.all_gather(float(loss.detach()))) / world.size)
    return losses


def plain_losses(config: RunConfig, modality: str) -> list[float]:
    """The same by PyTorch alone, the whole batch at once."""
    model, optim, batch = model_of(config).train(), config.optim, batch_of(modality)
    groups = parameter_groups(model.named_parameters(), optim, [f"{modality}_encoder"])
    optimizer = torch.optim.AdamW(groups, betas=optim.betas, eps=optim.eps)
    losses = []
    for _ in range(2):
        loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), optim.clip_norm)
        losses.append(float(loss.detach()))
        optimizer.step()
        optimizer.zero_grad()
    return losses


def write_clips(folder: Path) -> Path:
    """Four short clips with sound, pictures and words, packed; returns the shards."""
    random = np.random.default_rng(0)
    rows = []
    for number, text in enumerate(TEXTS):
        seconds = 0.8 + 0.3 * number
        sound = (random.standard_normal(int(16_000 * seconds)) * 3_000).astype("<i2")
        with wave.open(str(folder / f"{number}.wav"), "wb") as file:
            file.setparams((1, 2, 16_000, 0, "NONE", ""))
            file.writeframes(sound.tobytes())
        with av.open(str(folder / f"{number}.mp4"), "w") as file:
            stream: Any = file.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            for _ in range(int(10 * seconds)):
                picture = random.integers(0, 256, (64, 64, 3), dtype=np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            file.mux(stream.encode(None))
        rows.append([f"u{number}", f"{number}.wav", f"{number}.mp4", text, LABELS[number % 3]])
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "audio", "video", "text", "label"], *rows])
    pack("manifest", folder / "table.csv", folder / "shards", PackOptions(video_size=32), progress=False)
    return folder / "shards"


def life_of(modality: str, kind: str, work: Path, clips: Path) -> dict[str, str]:
    """Export, prediction and extraction of one kind: what was equal, or why not."""
    found: dict[str, str] = {}
    model = model_of(config_of(modality, kind, str(work / modality / kind))).eval()
    saved = work / "saved" / modality / kind
    save_model(model, tokenizer() if modality == "text" else None, saved)
    again, _ = load_model(saved)
    batch = {name: values for name, values in batch_of(modality).items() if name != "labels"}
    with torch.no_grad():
        found["export"] = "equal" if torch.equal(again(**batch).logits, model(**batch).logits) else "differs"
    answers = [
        Predictor.from_pretrained(saved, "cpu").predict(clips.parent / f"0.{end}", TEXTS[0]) for end in ("wav", "mp4")
    ]
    used = [answer for answer in answers if answer.modalities == [modality]]
    found["predict"] = (
        "answers" if used and all(abs(sum(a.probabilities.values()) - 1) < 1e-5 for a in used) else "nothing"
    )
    encoders = encoders_of_model(saved)
    out = work / "features" / modality / kind
    extract(clips, out, encoders, dtype="float32", batch_size=CLIPS, progress=False)
    found["extract"] = f"{_most_different(clips, out, modality, encoders):.0e}"
    return found


def _most_different(clips: Path, out: Path, modality: str, encoders: Any) -> float:
    """Largest difference between stored features and those that the encoder gives of each clip alone."""
    from dual_hpc.config.schema import DataConfig
    from dual_hpc.data.loader import EvalLoader

    media, stored = ShardDataset([clips]), ShardDataset([out])
    wanted = {key: value for key, value in PREPROCESSING.items() if key in DataConfig.model_fields}
    loader = EvalLoader(
        media,
        list(range(len(media))),
        [-100] * len(media),
        DataConfig(**wanted, workers=0, micro_batch=1),
        encoders.tokenizer,
    )
    online = {}
    try:
        for batch in loader:
            online |= dict(zip(batch["keys"], encoders.features(batch), strict=True))
    finally:
        loader.close()
    worst = 0.0
    with SampleReader() as reader:
        for number, entry in enumerate(media.samples):
            array = np.load(io.BytesIO(reader.read(stored.ref(number))[f"{modality}.npy"]))
            alone = online[entry.sample.meta.key][modality].numpy()
            assert array.shape == alone.shape, (array.shape, alone.shape)
            worst = max(worst, float(np.abs(array - alone).max()))
    return worst


def start_ranks(work: Path, kinds: list[tuple[str, str]]) -> list[subprocess.Popen[bytes]]:
    where = {
        "MASTER_ADDR": LOOPBACK,
        "MASTER_PORT": str(free_port()),
        "WORLD_SIZE": str(RANKS),
        "DS_ACCELERATOR": "cpu",
    }
    words = [
        sys.executable,
        "-m",
        "benchmarks.encoders",
        "--rank",
        str(work),
        "--kinds",
        *(f"{m}:{k}" for m, k in kinds),
    ]
    started = []
    for rank in range(RANKS):
        with (work / f"rank{rank}.log").open("wb") as log:
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"}
            started.append(subprocess.Popen(words, env={**os.environ, **where, **own}, stdout=log, stderr=log))
    return started


def markdown(rows: list[dict[str, Any]], note: str) -> str:
    """The table for people."""
    lines = [f"# Encoders\n\n{note}\n", f"| kind | {' | '.join(COLUMNS)} |", "|---|" + "---|" * len(COLUMNS)]
    lines += [f"| {row['kind']} | {' | '.join(row.get(name, '-') for name in COLUMNS)} |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="*", default=[], metavar="KIND", help="some of them (default: all)")
    parser.add_argument("--out", type=Path, help="folder of encoders.md and encoders.json (default benchmarks/results)")
    parser.add_argument("--rank", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.rank is not None:
        losses_of_ranks(args.rank, [(word.split(":")[0], word.split(":")[1]) for word in args.kinds])
        return 0
    kinds = [(m, k) for m, table in KINDS.items() for k in table if not args.kinds or k in args.kinds]
    began = time.monotonic()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        clips = work / "clips"
        clips.mkdir()
        shards = write_clips(clips)
        for modality, kind in kinds:
            write_folder(modality, kind, work / modality / kind)
        ranks = start_ranks(work, kinds)
        for modality, kind in kinds:
            row: dict[str, Any] = {"kind": f"{modality}: {kind}"}
            try:
                row["plain"] = plain_losses(config_of(modality, kind, str(work / modality / kind)), modality)
                row |= life_of(modality, kind, work, shards)
            except Exception as error:  # the others are still to be seen
                row["error"] = row["extract"] = one_line(f"{type(error).__name__}: {error}", 200)
            rows.append(row)
        failed = any([process.wait() for process in ranks])
        results = json.loads((work / "ranks.json").read_text()) if (work / "ranks.json").exists() else {}
        if failed:
            print((work / "rank0.log").read_text()[-3_000:], file=sys.stderr)
    for (modality, kind), row in zip(kinds, rows, strict=True):
        for stage in STAGES:
            losses, plain = results.get(f"{modality} {kind} {stage}"), row.get("plain")
            row[f"zero {stage}"] = "-" if losses is None or plain is None else _agreement(losses, plain)
    minutes = (time.monotonic() - began) / 60
    note = (
        f"{record.machine()}; `{' '.join(['python', '-m', 'benchmarks.encoders', *sys.argv[1:]])}`; commit "
        f"{record.commit()}; {minutes:.1f} minutes.\n\nTiny random weights. zero N: largest relative difference of the "
        "losses before and after a step, two ranks, from plain PyTorch. export: the logits of the loaded model, bit by "
        "bit. predict: probabilities for a sound and a video file. extract: largest difference of the features "
        "stored (float32, batches of four) from those of each clip alone."
    )
    out = args.out or record.RESULTS
    out.mkdir(parents=True, exist_ok=True)
    (out / "encoders.json").write_text(json.dumps({"note": note, "minutes": minutes, "rows": rows}, indent=1) + "\n")
    (out / "encoders.md").write_text(markdown(rows, note))
    print(markdown(rows, note))
    return 1 if failed or any("error" in row for row in rows) else 0


def _agreement(losses: list[float], plain: list[float]) -> str:
    worst = max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(losses, plain, strict=True))
    return f"{worst:.0e}" if plain[0] != plain[1] else "learns nothing"


if __name__ == "__main__":
    sys.exit(main())
