"""Use a trained model as a PyTorch module in a loop of one's own: here, adapt its decoder to other recordings.

    python examples/own_loop.py store/runs/dual/export/best shards/clips adapted

The result is a saved model like any other: `dual-hpc predict --model adapted --input clip.mp4`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from dual_hpc import load_config
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.loader import EvalLoader
from dual_hpc.model import load_model, save_model


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("shards")
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args(argv)

    model, tokenizer = load_model(args.model)
    model.requires_grad_(False)
    model.decoder.requires_grad_(True).train()

    # The samples with a label that the model knows, decoded as in its training.
    dataset = ShardDataset([args.shards])
    classes = {label: number for number, label in enumerate(model.config.labels)}
    known = [(n, classes[u.label]) for n, u in enumerate(dataset.utterances) if u.label in classes]
    numbers, labels = zip(*known, strict=True)
    keys = ("image_size", "video_hz", "max_seconds", "max_tokens")
    settings = load_config(None, [f"data.{key}={model.config.preprocessing[key]}" for key in keys]).data
    loader = EvalLoader(dataset, numbers, labels, settings, tokenizer, batch_size=8)

    optimizer = torch.optim.AdamW(model.decoder.parameters(), lr=1e-3)
    try:
        for epoch in range(args.epochs):
            losses = []
            for batch in loader:
                output = model(**batch)  # tensors by name; keys and validity are ignored
                optimizer.zero_grad()
                output.loss.backward()
                optimizer.step()
                losses.append(output.loss.item())
            print(f"epoch {epoch}: loss {sum(losses) / len(losses):.3f}")
    finally:
        loader.close()
    save_model(model, tokenizer, args.out)


if __name__ == "__main__":
    main()
