"""What SDM is worth where the voice moves: `python -m benchmarks.differential [--voices 1,0.35]`.

Sound of the synthetic corpora, made in memory as log-mel bands, trains a DUAL of the preset `demo` that only hears in a
plain loop: as it is, without SDM, and with an SDM whose weights start as those of any LSTM. Told for two speakers that
were not trained on: UA of the classes that differ in movement alone (anger, happiness) and of those that differ in
level (neutral, sadness), over seeds, which change the weights and the order. Beside them what can be heard at all: the
classes of movement by a logistic regression on the shape of the differences between the steps of the time grid.

Utterances and scores are kept in `--work`: stopped and started again it goes on, and several may share the seeds
(`--only 3`). `--show` trains nothing and writes what there is.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from benchmarks import record
from benchmarks.science.encoders import MelBands
from benchmarks.science.tables import over_seeds
from dual_hpc.config import load_config
from dual_hpc.model import build_model
from dual_hpc.model.grid import most_steps, resample
from shards.synthetic.dials import Dials
from shards.synthetic.emotions import perform
from shards.synthetic.plan import generator
from shards.synthetic.speech import RATE, draw_voice, speak

CLASSES = ("anger", "happiness", "neutral", "sadness")
DYNAMIC, STATIC = (0, 1), (2, 3)  # told apart by movement alone; by level
SECONDS = (1.5, 2.9)
BATCH = 16
CASES = ("with SDM", "without SDM", "SDM that starts as any LSTM")


class Heard(NamedTuple):
    """One utterance: log-mel bands f32 [S, 80], its length in seconds, and its class."""

    bands: torch.Tensor
    seconds: float
    label: int


def utterances(count: int, dials: Dials, speakers: Sequence[int]) -> list[Heard]:
    """`count` utterances, classes in turn."""
    encoder, found = MelBands(), []
    for number in range(count):
        speaker = speakers[number // len(CLASSES) % len(speakers)]
        rng = generator(0, "differential", number, speaker)
        seconds = round(float(rng.uniform(*SECONDS)), 2)
        shown = perform(rng, CLASSES[number % len(CLASSES)], seconds, dials=dials)
        sound = torch.from_numpy(speak(rng, draw_voice(generator(0, "speaker", speaker), speaker % 2 == 0), shown))
        with torch.no_grad():
            bands, lengths = encoder(sound[None], torch.tensor([len(sound)]))
        found.append(Heard(bands[0, : lengths[0]], seconds, number % len(CLASSES)))
    return found


def collate(chosen: Sequence[Heard]) -> dict[str, torch.Tensor]:
    """A batch of features; see docs/house.md."""
    return {
        "audio": nn.utils.rnn.pad_sequence([one.bands for one in chosen], batch_first=True),
        "audio_lengths": torch.tensor([len(one.bands) for one in chosen]),
        "durations": torch.tensor([one.seconds for one in chosen]),
        "labels": torch.tensor([one.label for one in chosen]),
    }


def train(case: str, data: Sequence[Heard], steps: int, seed: int) -> Any:
    """A model after so many steps at the preset's learning rate."""
    features = "model.audio={kind: features, config: {width: 80, rate_hz: 25.0}}"
    settings = [f"model.use_sdm={str(case != CASES[1]).lower()}", "model.use_video=false", "model.use_text=false"]
    config = load_config("demo", [features, *settings])
    torch.manual_seed(seed)
    media = {"sample_rate": RATE, "image_size": 48, "video_hz": 5.0, "max_seconds": 6.0, "max_tokens": 8}
    model = build_model(config.model, list(CLASSES), media, None, None).train()
    if case == CASES[2]:
        bound = config.model.hidden_size**-0.5
        for weight in (model.sdm.weight_prev, model.sdm.weight_cur):
            nn.init.uniform_(weight, -bound, bound)
    peak, rng = config.optim.lr, np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), peak, betas=config.optim.betas, weight_decay=0.01)
    order: list[int] = []
    for step in range(steps):
        if len(order) < BATCH:
            order += rng.permutation(len(data)).tolist()
        warm = min(1.0, (step + 1) / (0.1 * steps))
        for group in optimizer.param_groups:
            group["lr"] = peak * warm * (0.05 + 0.95 * (1 + math.cos(math.pi * step / steps)) / 2)
        model(**collate([data[order.pop()] for _ in range(BATCH)])).loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.optim.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return model.eval()


@torch.no_grad()
def recalls(model: Any, data: Sequence[Heard]) -> list[float]:
    """Of each class, shares of one."""
    answers = [model(**collate(data[at : at + BATCH])).logits.argmax(1) for at in range(0, len(data), BATCH)]
    right = (torch.cat(answers) == torch.tensor([one.label for one in data])).tolist()
    return [fmean(hit for hit, one in zip(right, data, strict=True) if one.label == n) for n in range(len(CLASSES))]


def shape_of_differences(one: Heard, grid_hz: float) -> np.ndarray:
    """Skewness, median and share of rises of the differences between steps: of all bands and of four quarters."""
    steps = most_steps(torch.tensor([one.seconds]), grid_hz)
    on_grid = resample(one.bands[None], torch.tensor([len(one.bands)]), MelBands.rate_hz, steps, grid_hz)[0].numpy()
    levels = np.stack([on_grid.mean(1), *(part.mean(1) for part in np.split(on_grid, 4, axis=1))], axis=1)
    change = np.diff(levels, axis=0)
    scaled = (change - change.mean(0)) / (change.std(0) + 1e-6)
    return np.concatenate([(scaled**3).mean(0), np.median(change, 0) / (change.std(0) + 1e-6), (change > 0).mean(0)])


def audible(seen: Sequence[Heard], unseen: Sequence[Heard], grid_hz: float) -> float:
    """UA of the dynamic classes by a logistic regression on the grid's differences, a share of one."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = [[one for one in part if one.label in DYNAMIC] for part in (seen, unseen)]
    rows = [np.stack([shape_of_differences(one, grid_hz) for one in part]) for part in parts]
    labels = [np.array([one.label for one in part]) for part in parts]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)).fit(rows[0], labels[0])
    right = model.predict(rows[1]) == labels[1]
    return fmean(float(right[labels[1] == label].mean()) for label in DYNAMIC)


def corpus(work: Path, voice: float, count: int) -> list[list[Heard]]:
    """Of eight speakers, and half as many of two others; made once."""
    file = work / f"voice-{voice:g}-{count}.pt"
    if not file.exists():
        dials = Dials(voice=voice, movement="shared")
        parts = [utterances(count, dials, range(8)), utterances(count // 2, dials, range(8, 10))]
        torch.save([[tuple(one) for one in part] for part in parts], file)
    return [[Heard(*one) for one in part] for part in torch.load(file, weights_only=True)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.differential", description=__doc__)
    default = Path(tempfile.gettempdir()) / "dual-hpc-differential"
    parser.add_argument("--work", type=Path, default=default, help="utterances and scores (default %(default)s)")
    parser.add_argument("--voice", type=float, default=1.0, help="strength of the voice (default %(default)s)")
    parser.add_argument("--utterances", type=int, default=640, help="of eight speakers; half as many of two others")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", type=int, help="this seed, without a table")
    parser.add_argument("--show", action="store_true", help="train nothing; the table of what there is")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    seen, unseen = corpus(options.work, options.voice, options.utterances)
    seeds = range(options.seeds) if options.only is None else [options.only]
    for case, seed in [] if options.show else [(case, seed) for case in CASES for seed in seeds]:
        file = scores_file(options, case, seed)
        if not file.exists():
            found = recalls(train(case, seen, options.steps, seed), unseen)
            file.write_text(json.dumps(found))
            print(f"{file.stem}: {found}", flush=True)
    if options.only is None:
        print(write(options, 100 * audible(seen, unseen, load_config("demo").model.grid_hz)).read_text())


def scores_file(options: argparse.Namespace, case: str, seed: int) -> Path:
    """The recalls of one training."""
    words = f"{options.voice:g} {options.utterances} {options.steps} {seed} {case}"
    return Path(options.work / f"{words.replace(' ', '-')}.json")


def write(options: argparse.Namespace, heard: float) -> Path:
    """What there is: each kind of classes with SDM beside each of the others, paired by seed; the Markdown."""
    rows = [record.row("what can be heard, dynamic classes", heard, 50, "chance", "points")]
    scores: dict[str, dict[int, list[float]]] = {case: {} for case in CASES}
    for case in CASES:
        files = {seed: scores_file(options, case, seed) for seed in range(options.seeds)}
        scores[case] = {seed: json.loads(file.read_text()) for seed, file in files.items() if file.exists()}
    for kind, classes in (("dynamic", DYNAMIC), ("static", STATIC)):
        for case in CASES[1:]:
            both = sorted(scores[CASES[0]].keys() & scores[case].keys())
            if not both:
                continue
            ours, theirs = ([fmean(scores[name][s][n] for n in classes) for s in both] for name in (CASES[0], case))
            gained = over_seeds(np.subtract(ours, theirs))
            named = f"UA, {kind} classes, {len(both)} seeds ({gained})"
            rows.append(record.row(named, 100 * fmean(ours), 100 * fmean(theirs), case, "points"))
    note = (
        f"Voice {options.voice:g}, movement shared. {options.utterances} synthetic utterances of eight speakers, "
        f"{options.steps} steps of {BATCH}; measured on {options.utterances // 2} of two others. Chance is 50 within "
        "each kind of classes. In brackets: with SDM minus the other, paired by seed, with Student's 95 % interval."
    )
    return record.write("differential", rows, note, scores=scores).with_suffix(".md")


if __name__ == "__main__":
    main()
