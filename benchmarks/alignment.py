"""Whether the alignment losses are learnt, and what they are worth: `python -m benchmarks.alignment [--steps N]`.

Utterances of the synthetic corpora, whose sound and pictures are made in memory, train a DUAL of the preset `demo` in a
plain loop; log-mel bands and coarse grey pictures take the place of trained encoders (`--encoders`: those of the
preset). Told for speakers that were not trained on, by what was planted and how the loss is made: the loss, with the
logarithm of the number of steps beside it, which is chance; how often the most similar visual step of an audio step is
the matched one, with chance beside it; and UA without text.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from benchmarks import record
from dual_hpc.config import load_config
from dual_hpc.model import build_model
from dual_hpc.model.encoders.audio.logmel import LogMelEncoder
from shards.synthetic.dials import Dials
from shards.synthetic.emotions import perform
from shards.synthetic.faces import backdrop, draw_head, draw_identity, speaking
from shards.synthetic.plan import generator
from shards.synthetic.speech import RATE, draw_voice, speak

CLASSES = ("anger", "happiness", "neutral", "sadness")
SECONDS = (1.5, 2.9)
VIDEO_HZ, SIDE, GRID = 5, 48, 12
BATCH = 16


@dataclass(frozen=True)
class Case:
    """One row: what is planted, and the settings of the model."""

    name: str
    movement: str = "regular"
    settings: tuple[str, ...] = ()
    longer: int = 1  # times the steps


SLIGHT = ("model.lambda_static=0.1", "model.lambda_dynamic=0.1")
LEARNT = ("model.lambda_static=1", "model.lambda_dynamic=1")
CASES = (
    Case("no alignment losses", settings=("model.use_static_alignment=false", "model.use_dynamic_alignment=false")),
    Case("weight 0.1", settings=SLIGHT),
    Case("weight 1", settings=LEARNT),
    Case("weight 1, centred", settings=(*LEARNT, "model.align_centred=true")),
    Case(
        "no alignment losses, shared",
        "shared",
        ("model.use_static_alignment=false", "model.use_dynamic_alignment=false"),
    ),
    Case("weight 0.1, shared", "shared", SLIGHT),
    Case("weight 1, shared", "shared", LEARNT),
    Case("weight 1, centred, shared", "shared", (*LEARNT, "model.align_centred=true")),
    Case("weight 1, centred, shared, 4 x the steps", "shared", (*LEARNT, "model.align_centred=true"), longer=4),
)


def utterances(count: int, seed: int, dials: Dials, speakers: Sequence[int]) -> list[dict[str, Any]]:
    """Sound f32 [N], pictures u8 [F, 3, S, S] and label of `count` utterances, classes in turn."""
    found = []
    for number in range(count):
        speaker = speakers[number % len(speakers)]
        rng = generator(seed, "alignment", number, speaker)
        duration = round(float(rng.uniform(*SECONDS)), 2)
        shown = perform(rng, CLASSES[number % len(CLASSES)], duration, dials=dials)
        who = generator(seed, "speaker", speaker)
        female = speaker % 2 == 0
        sound = speak(rng, draw_voice(who, female), shown)
        identity = draw_identity(who, female)
        times = (np.arange(max(1, int(duration * VIDEO_HZ))) + 0.5) / VIDEO_HZ
        canvas = np.repeat(backdrop(SIDE, SIDE, identity)[None], len(times), axis=0)
        draw_head(canvas, identity, speaking(rng, shown, times), (SIDE / 2, SIDE / 2), SIDE * 0.42)
        pictures = np.clip(canvas, 0, 255).astype(np.uint8).transpose(0, 3, 1, 2)
        label = number % len(CLASSES)
        found.append({"sound": sound, "pictures": pictures, "seconds": duration, "label": label})
    return found


def with_features(data: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The utterances with `audio` f32 [S, 80], log-mel bands at 25 Hz, and `video` f32 [F, 144], 12 x 12 grey."""
    encoder = LogMelEncoder()
    found = []
    for one in data:
        sound = torch.from_numpy(one["sound"])[None]
        bands = encoder.spectrogram(sound, torch.tensor([sound.shape[1]]))[0]
        halves = bands[: len(bands) // 2 * 2].unflatten(0, (-1, 2)).mean(1)
        grey = torch.from_numpy(one["pictures"]).float().mean(1, keepdim=True)
        coarse = torch.nn.functional.avg_pool2d((grey - 127.5) / 64, SIDE // GRID)
        found.append({**one, "audio": halves, "video": coarse.flatten(1)})
    return found


def collate(chosen: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch of features, where the utterances have them, or of media; see docs/house.md."""
    rest = {
        "durations": torch.tensor([one["seconds"] for one in chosen]),
        "labels": torch.tensor([one["label"] for one in chosen]),
    }
    if "audio" in chosen[0]:
        for name in ("audio", "video"):
            rest[name] = torch.nn.utils.rnn.pad_sequence([one[name] for one in chosen], batch_first=True)
            rest[f"{name}_lengths"] = torch.tensor([len(one[name]) for one in chosen])
        return rest
    sizes = [len(one["sound"]) for one in chosen]
    counts = [len(one["pictures"]) for one in chosen]
    waveform = torch.zeros(len(chosen), max(sizes))
    frames = torch.zeros(len(chosen), max(counts), 3, SIDE, SIDE, dtype=torch.uint8)
    for row, one in enumerate(chosen):
        waveform[row, : sizes[row]] = torch.from_numpy(one["sound"])
        frames[row, : counts[row]] = torch.from_numpy(one["pictures"])
    return {
        "waveform": waveform,
        "waveform_lengths": torch.tensor(sizes),
        "frames": frames,
        "frame_lengths": torch.tensor(counts),
        **rest,
    }


def batches(data: Sequence[dict[str, Any]], steps: int, seed: int) -> Iterator[dict[str, torch.Tensor]]:
    """`steps` batches of an endless shuffled stream."""
    rng, order = np.random.default_rng(seed), []
    for _ in range(steps):
        if len(order) < BATCH:
            order += [int(place) for place in rng.permutation(len(data))]
        yield collate([data[order.pop()] for _ in range(BATCH)])


def train(case: Case, data: Sequence[dict[str, Any]], steps: int, seed: int) -> Any:
    """A model of the preset `demo` without text, after so many steps at the preset's learning rate."""
    stored = (
        []
        if "audio" not in data[0]
        else [
            "model.audio={kind: features, config: {width: 80, rate_hz: 25.0}}",
            f"model.video={{kind: features, config: {{width: {GRID * GRID}}}}}",
        ]
    )
    config = load_config("demo", ["model.use_text=false", *stored, *case.settings])
    torch.manual_seed(seed)
    media = {"sample_rate": RATE, "image_size": SIDE, "video_hz": float(VIDEO_HZ), "max_seconds": 6.0, "max_tokens": 8}
    model = build_model(config.model, list(CLASSES), media, None, None).train()
    peak = config.optim.lr
    optimizer = torch.optim.AdamW(model.parameters(), peak, betas=config.optim.betas, weight_decay=0.01)
    for step, batch in enumerate(batches(data, steps, seed)):
        warm = min(1.0, (step + 1) / (0.1 * steps))
        for group in optimizer.param_groups:
            group["lr"] = peak * warm * (0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2)
        model(**batch).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.optim.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return model.eval()


@torch.no_grad()
def measure(model: Any, data: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Losses, retrieval and UA on utterances that the model has not seen."""
    rows: dict[str, list[float]] = {name: [] for name in ("static", "dynamic", "chance loss", "chance")}
    found: dict[str, list[float]] = {"static retrieval": [], "dynamic retrieval": []}
    right: dict[int, list[float]] = {label: [] for label in range(len(CLASSES))}
    for start in range(0, len(data), BATCH):
        batch = collate(data[start : start + BATCH])
        output = model(**batch, output_alignment=True)
        for label, answer in zip(batch["labels"].tolist(), output.logits.argmax(1).tolist(), strict=True):
            right[label].append(float(answer == label))
        rows["static"].append(float(output.loss_static))
        rows["dynamic"].append(float(output.loss_dynamic))
        for row, steps in enumerate(output.mask.sum(1).tolist()):
            rows["chance loss"].append(math.log(steps))
            rows["chance"].append(100 / steps)
            for name in ("static", "dynamic"):
                matrix = getattr(output, f"alignment_{name}")[row, :steps, :steps]
                hits = matrix.argmax(1) == torch.arange(steps)
                found[f"{name} retrieval"].append(100 * float(hits.float().mean()))
    scores = {name: fmean(values) for name, values in (rows | found).items()}
    return scores | {"ua": 100 * fmean(fmean(values) for values in right.values() if values)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alignment", description=__doc__)
    parser.add_argument("--utterances", type=int, default=320, help="of eight speakers; half as many of two others")
    parser.add_argument("--steps", type=int, default=225)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--encoders", action="store_true", help="train the encoders of the preset; takes ten times as long"
    )
    parser.add_argument("--cases", help="only those whose names contain this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results: dict[str, list[dict[str, float]]] = {}
    for seed in range(options.seeds):
        for movement in ("regular", "shared"):
            cases = [c for c in CASES if c.movement == movement and (options.cases or "") in c.name]
            if not cases:
                continue
            dials = Dials(movement=movement)
            seen = utterances(options.utterances, seed, dials, range(8))
            unseen = utterances(options.utterances // 2, seed + 1000, dials, range(8, 10))
            if not options.encoders:
                seen, unseen = with_features(seen), with_features(unseen)
            for case in cases:
                results.setdefault(case.name, []).append(
                    measure(train(case, seen, case.longer * options.steps, seed), unseen)
                )
                print(json.dumps({"case": case.name, "seed": seed, **results[case.name][-1]}), flush=True)
                write(results, options)
    if results:
        print(write(results, options).with_suffix(".md").read_text())


def write(results: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> Path:
    """What there is so far."""
    rows = []
    for name, scores in results.items():
        mean = {key: fmean(score[key] for score in scores) for key in scores[0]}
        rows += [
            record.row(f"{name}: static retrieval", mean["static retrieval"], mean["chance"], "chance", "% of steps"),
            record.row(f"{name}: dynamic retrieval", mean["dynamic retrieval"], mean["chance"], "chance", "% of steps"),
            record.row(f"{name}: static loss", mean["static"], mean["chance loss"], "log of the steps", "nats", True),
            record.row(f"{name}: dynamic loss", mean["dynamic"], mean["chance loss"], "log of the steps", "nats", True),
            record.row(f"{name}: UA without text", mean["ua"], 100 / len(CLASSES), "chance", "points"),
        ]
    note = (
        f"{options.utterances} synthetic utterances of eight speakers, {options.steps} steps of {BATCH}; measured on "
        f"{options.utterances // 2} of two others; mean over {len(next(iter(results.values())))} seeds. "
        "A DUAL without text; single seeds differ widely (the JSON has them), since each has two other test speakers."
    )
    rows = [row for row in rows if row["ours"] > 0]  # a loss that a case leaves out
    return record.write("alignment", rows, note, scores=results)


if __name__ == "__main__":
    main()
