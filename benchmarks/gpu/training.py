"""Part 3: a training with NCCL, DeepSpeed and asynchronous saves on one device: whole, and stopped at half and resumed.

Plainly and with `training.deterministic`: are the weights the same bits, else how far apart. With the latter, is the
file of an asynchronous save the same, tensor by tensor, as that of a synchronous one.

    python -m benchmarks.gpu.training SHARDS FOLDER --out FACTS
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from benchmarks.gpu.facts import Facts
from benchmarks.gpu.one_rank import create, metrics, train
from dual_hpc.run.names import step_of


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.training", description=__doc__)
    parser.add_argument("shards")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    facts = Facts(options.out)
    for kind in os.environ.get("KINDS", "plain deterministic").split():
        words = [f"training.deterministic={str(kind == 'deterministic').lower()}"]
        whole, cut, synchronous = (options.folder / f"{kind}-{name}" for name in ("whole", "cut", "synchronous"))
        create(whole, options.shards, words)
        facts.add(f"{kind}: a training", round(train(whole), 1), "s")
        create(cut, options.shards, words)
        half = max(len(metrics(whole)) // 2, 1)
        train(cut, "--stop-at", str(half))
        train(cut)
        facts.add(f"{kind}: interrupted beside whole, weights", **comparison(weights(whole), weights(cut)))
        if kind == "deterministic":
            create(synchronous, options.shards, [*words, "checkpoint.asynchronous=false"])
            train(synchronous)
            a, b = newest_checkpoint(whole), newest_checkpoint(synchronous)
            facts.add("deterministic: asynchronous save beside synchronous, state", **comparison(a, b))


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "export" / "last" / "model.safetensors")


def newest_checkpoint(run: Path) -> dict[str, torch.Tensor]:
    """All tensors of the newest checkpoint, by file and place in it."""
    folders = [path for path in (run / "checkpoints").iterdir() if step_of(path) is not None]
    newest = max(folders, key=lambda path: step_of(path) or 0)
    found: dict[str, torch.Tensor] = {}
    for file in sorted(newest.rglob("*.pt")):
        state = torch.load(file, map_location="cpu", weights_only=False)  # our own, of a minute ago
        found |= {f"{file.relative_to(newest)}:{place}": tensor for place, tensor in tensors(state)}
    return found


def tensors(state: Any, place: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of a nested state."""
    if isinstance(state, torch.Tensor):
        yield place, state
    elif isinstance(state, dict):
        for key, value in state.items():
            yield from tensors(value, f"{place}.{key}")
    elif isinstance(state, list | tuple):
        for number, value in enumerate(state):
            yield from tensors(value, f"{place}.{number}")


def comparison(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> dict[str, Any]:
    """`value`: "the same bits", or how far two sets of tensors are apart; `tensors` is how many were compared."""
    if a.keys() != b.keys() or not a:
        return {"value": f"not comparable: {len(a)} and {len(b)} tensors, {len(a.keys() & b.keys())} of them in both"}
    if all(torch.equal(a[key], b[key]) for key in a):
        return {"value": "the same bits", "tensors": len(a)}
    worst = max((a[key].double() - b[key].double()).abs().max().item() for key in a if a[key].numel())
    return {"value": f"apart by at most {worst:.3g}", "tensors": len(a)}


if __name__ == "__main__":
    main()
