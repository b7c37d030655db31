"""Training on the label against training on the votes, on synthetic raters with planted distributions.

    python -m benchmarks.votes.soft_targets --out benchmarks/results

Each utterance has features from which a planted distribution over four classes follows; five raters draw their votes
from it. The label is the majority (utterances without one are left out, as `target: class` does). Two networks of one
shape, start and order of batches are trained, by `model.losses.classification_loss` with labels and with votes, and
answer utterances that neither has seen.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dual_hpc.data.format.sample import Vote
from dual_hpc.evaluation.comparison.student_t import quantile
from dual_hpc.evaluation.metrics import scores
from dual_hpc.evaluation.votes import js_divergence, kl_divergence, shares_of
from dual_hpc.model.losses.classification import classification_loss

CLASSES, WIDTH, RATERS = 4, 16, 5
TRAIN, TEST, STEPS, BATCH = 2000, 2000, 1500, 64
SHARPNESS = 1.5  # of the planted distributions: 0 would be even, 10 nearly certain
SEEDS = range(5)

Rows = NDArray[np.float64]


def made(rng: np.random.Generator, weights: Rows, count: int) -> tuple[Rows, Rows, Rows, NDArray[np.int64]]:
    """Of utterances with a label: features [n, W], planted distributions and shares of votes [n, C], labels [n]."""
    features = rng.normal(size=(count, WIDTH))
    logits = SHARPNESS * features @ weights
    planted = np.exp(logits - logits.max(axis=1, keepdims=True))
    planted /= planted.sum(axis=1, keepdims=True)
    drawn = [rng.choice(CLASSES, RATERS, p=row) for row in planted]
    votes = [[Vote(rater=f"r{n}", labels=(str(one),)) for n, one in enumerate(row)] for row in drawn]
    shares = np.stack([shares_of(row, lambda label: int(label), CLASSES) for row in votes])  # type: ignore[misc]
    ordered = np.sort(shares, axis=1)
    clear = ordered[:, -1] > ordered[:, -2]
    return features[clear], planted[clear], shares[clear], shares[clear].argmax(axis=1)


def trained(features: Rows, target: torch.Tensor, seed: int) -> nn.Module:
    """A small network, by the project's loss."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(WIDTH, 64), nn.GELU(), nn.Linear(64, CLASSES))
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    rng = np.random.default_rng(seed)
    inputs = torch.from_numpy(features).float()
    for _ in range(STEPS):
        rows = torch.from_numpy(rng.integers(0, len(features), BATCH))
        optimiser.zero_grad()
        classification_loss(model(inputs[rows]), target[rows]).mean().backward()
        optimiser.step()
    return model


def measured(seed: int) -> dict[str, dict[str, float]]:
    """Target -> scores of one seed."""
    rng = np.random.default_rng(1000 + seed)
    weights = rng.normal(size=(WIDTH, CLASSES)) / np.sqrt(WIDTH) * 1.5
    features, _, shares, labels = made(rng, weights, TRAIN)
    seen, planted, theirs, truth = made(rng, weights, TEST)
    targets = {"label": torch.from_numpy(labels), "votes": torch.from_numpy(shares).float()}
    found = {}
    for name, target in targets.items():
        model = trained(features, target, seed)
        with torch.no_grad():
            answers = model(torch.from_numpy(seen).float()).softmax(-1).numpy()
        found[name] = {
            "ua": scores(truth, answers.argmax(axis=1), CLASSES).values["ua"],
            "jsd_votes": float(js_divergence(theirs, answers).mean()),
            "kld_votes": float(kl_divergence(theirs, answers).mean()),
            "jsd_planted": float(js_divergence(planted, answers).mean()),
        }
    return found


def summary(rows: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float | list[float]]]:
    """Per score: both means, the difference votes - label with its 95 % interval over seeds, the relative change."""
    told: dict[str, dict[str, float | list[float]]] = {}
    for name in rows[0]["label"]:
        label, votes = (np.array([row[kind][name] for row in rows]) for kind in ("label", "votes"))
        difference = votes - label
        half = quantile(0.95, len(rows) - 1) * difference.std(ddof=1) / np.sqrt(len(rows))
        told[name] = {
            "label": float(label.mean()),
            "votes": float(votes.mean()),
            "difference": float(difference.mean()),
            "interval": [float(difference.mean() - half), float(difference.mean() + half)],
            "change": float(votes.mean() / label.mean() - 1),
        }
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of soft_targets.json and soft_targets.md")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measured(seed) for seed in SEEDS]
    told = summary(rows)
    args.out.mkdir(parents=True, exist_ok=True)
    settings = {"classes": CLASSES, "raters": RATERS, "train": TRAIN, "test": TEST, "steps": STEPS, "seeds": len(SEEDS)}
    content = {"settings": settings, "seeds": rows, "summary": told}
    (args.out / "soft_targets.json").write_text(json.dumps(content, indent=1) + "\n")
    lines = ["| score | trained on the label | on the votes | difference, 95 % | change |", "|---|---:|---:|---:|---:|"]
    for name, one in told.items():
        low, high = one["interval"]  # type: ignore[misc]
        difference = f"{one['difference']:+.4f} [{low:+.4f}, {high:+.4f}]"
        change = f"{100 * one['change']:+.1f} %"  # type: ignore[operator]
        lines.append(f"| {name} | {one['label']:.4f} | {one['votes']:.4f} | {difference} | {change} |")
    (args.out / "soft_targets.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
