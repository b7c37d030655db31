"""Every kind of encoder, through the whole of its life: `python -m benchmarks.encoders [--kinds whisper clip]`.

From a tiny folder of weights that transformers itself writes, each kind is trained for a step on two ranks under ZeRO
1, 2 and 3 and by plain PyTorch, exported and loaded again, asked about a clip, used to extract features, held in
bfloat16 and trained with its activations computed again. Kinds of each form are there with LoRA on a mix of layers as
well. Nothing is downloaded. The table says of each what was equal and by how much it differs; a kind that fails says
why, and the rest goes on.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import record
from benchmarks.encoders.life import life_of
from benchmarks.encoders.ranks import STAGES, agreement, losses_of_ranks, plain_losses, start_ranks
from benchmarks.encoders.subject import LORA, every_kind, write_clips, write_folder
from dual_hpc.errors import one_line

COLUMNS = ("zero 1", "zero 2", "zero 3", "export", "predict", "extract", "bf16", "recompute", "trained")


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
    kinds, began = every_kind(args.kinds), time.monotonic()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        work, out = Path(folder), args.out or record.RESULTS
        clips = work / "clips"
        clips.mkdir()
        shards = write_clips(clips)
        for modality, kind in kinds:
            if not kind.endswith(LORA):
                write_folder(modality, kind, work / modality / kind)
        ranks = start_ranks(work, kinds)
        for modality, kind in kinds:
            row: dict[str, Any] = {"kind": f"{modality}: {kind}"}
            try:
                row["plain"] = plain_losses(work, modality, kind)
                row |= life_of(modality, kind, work, shards)
            except Exception as error:  # the others are still to be seen
                row["error"] = row["extract"] = one_line(f"{type(error).__name__}: {error}", 200)
            rows.append(row)
            write(rows, work, out, began, len(kinds))
        failed = any([process.wait() for process in ranks])
        if failed:
            print((work / "rank0.log").read_text()[-3_000:], file=sys.stderr)
        print(write(rows, work, out, began, len(kinds)))
    return 1 if failed or any("error" in row for row in rows) else 0


def write(rows: list[dict[str, Any]], work: Path, out: Path, began: float, kinds: int) -> str:
    """The table of what is known by now, which is written after each kind: nothing is lost with what comes later."""
    losses = json.loads((work / "ranks.json").read_text()) if (work / "ranks.json").exists() else {}
    for row in rows:
        for stage in STAGES:
            found = losses.get(f"{row['kind'].replace(': ', ' ')} {stage}")
            if isinstance(found, str):
                row["error"] = row[f"zero {stage}"] = found
            elif found is not None and "plain" in row:
                row[f"zero {stage}"] = agreement(found, row["plain"])
    minutes = (time.monotonic() - began) / 60
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = sum(one.ru_utime + one.ru_stime for one in used)
    so_far = "" if len(rows) == kinds else f" {len(rows)} of {kinds} kinds so far."
    note = (
        f"{record.machine()}; `{' '.join(['python', '-m', 'benchmarks.encoders', *sys.argv[1:]])}`; commit "
        f"{record.commit()}; {minutes:.1f} minutes, {processor:.0f} s of processor time (of the ranks only when they "
        f"have ended).{so_far}\n\nTiny random weights. zero N: largest relative difference of the "
        "losses before and after a step, two ranks, from plain PyTorch. export: the logits of the loaded model, equal "
        "to the bit or by how much they differ. predict: probabilities for a sound and a video file. extract: largest "
        "difference of the features "
        "stored (float32, batches of four) from those of each clip alone. bf16: largest difference of the logits where "
        "the encoder is in bfloat16, the rest in fp32. recompute: the gradients with "
        "`training.activation_checkpointing=encoders`, bit by bit, and what the forward pass keeps besides weights. "
        f"trained: parameters of the encoder. {LORA}: `trainable: lora` of rank 4 on `layers: mix`."
    )
    out.mkdir(parents=True, exist_ok=True)
    told = {"note": note, "minutes": minutes, "processor_seconds": processor, "rows": rows}
    (out / "encoders.json").write_text(json.dumps(told, indent=1) + "\n")
    (out / "encoders.md").write_text(markdown(rows, note))
    return markdown(rows, note)


if __name__ == "__main__":
    sys.exit(main())
