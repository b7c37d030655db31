"""`dual-hpc ckpt ls|verify|prune|export|convert|accept`: a run's checkpoints, and the models that came of them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dual_hpc.files.real_path import real_path
from launch.cli.run_arguments import add_run, add_trust, existing_run

if TYPE_CHECKING:
    from dual_hpc.run.directory import RunDir

EXAMPLES = """\
examples:
  dual-hpc ckpt ls trial-2
  dual-hpc ckpt verify trial-2               # hashes every file, also of its models; exit code 1 if one is damaged
  dual-hpc ckpt verify model/                # the same of a saved model
  dual-hpc ckpt prune trial-2 --keep 1       # also removes what killed saves and conversions have left
  dual-hpc ckpt export trial-2 --out model/  # the newest one's weights, for `dual-hpc predict --model model/`
  dual-hpc ckpt export trial-2 --best --out model/   # the best ones, with a card (README.md) that has their scores
  dual-hpc ckpt export trial-2 --step 120
  dual-hpc ckpt export trial-3 --with-encoders --out model/   # trained on features: with what made them, in one folder
  dual-hpc ckpt export trial-2 --best --onnx --out model/     # also model.onnx, if it answers as the model does
  dual-hpc ckpt convert trial-2 --ranks 8    # ahead of a job with 8 ranks, which would do it itself
  dual-hpc ckpt accept model/                # after changing a file of a saved model on purpose: record it as it is

A checkpoint holds what a training needs to continue. export/best and export/last in the run's folder hold weights
alone; the training writes them, and pruning never deletes them. What is exported has a card, README.md: data, protocol,
scores of these weights with intervals, text reliance, limits; licence and citation are the owner's to fill in.
Whoever reads a saved model checks all of its files against its manifest.json first.

--onnx and --torch-export add the network as a graph, for batches and clips of any size: from the tensors of prepared
clips (samples, pictures, tokens and their lengths) to logits. Decoding, cropping and the tokenizer are not in it, nor
the encoders in front of a model of features. A graph is kept only where it answers drawn clips as the model does.
"""
OPTIONS = {  # option -> the action it is for
    **{"keep": "prune", "step": "export", "out": "export", "with_encoders": "export", "ranks": "convert"},
    **dict.fromkeys(("best", "onnx", "torch_export"), "export"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("ls", "verify", "prune", "export", "convert", "accept"))
    add_run(parser)
    parser.add_argument("--keep", type=int, metavar="N", help="prune: how many of the newest to keep (default 1)")
    parser.add_argument("--step", type=int, metavar="N", help="export: of which checkpoint (default: the newest)")
    parser.add_argument(
        "--best", action="store_true", default=None, help="export: the weights of export/best, not a checkpoint's"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="export: a new folder (default: in the run's export/)")
    parser.add_argument(
        "--with-encoders",
        action="store_true",
        default=None,
        help="export: of a model of features, also the encoders that made them, so that the folder can be given away",
    )
    parser.add_argument(
        "--onnx",
        action="store_true",
        default=None,
        help="export: also as ONNX, for onnxruntime (extra onnx)",
    )
    parser.add_argument(
        "--torch-export", action="store_true", default=None, help="export: also as a graph of torch.export, model.pt2"
    )
    add_trust(parser)
    parser.add_argument("--ranks", type=int, metavar="N", help="convert: number of ranks that will load it")


def run(args: argparse.Namespace) -> int:
    from dual_hpc.errors import UserError

    for option, action in OPTIONS.items():
        if getattr(args, option) is not None and args.action != action:
            flag = option.replace("_", "-")
            raise UserError(f"--{flag}: is an option of `ckpt {action}`, not of `ckpt {args.action}`")
    if (model := _saved_model(args)) is not None:
        return _verify_model(model, str(model)) if args.action == "verify" else _accept(model)
    if args.action == "accept":
        raise UserError(f"ckpt accept: {args.run_name} is not the folder of a saved model (it needs a config.json)")
    found = existing_run(args)
    actions = {"ls": _list, "verify": _verify, "prune": _prune, "export": _export, "convert": _convert}
    return actions[args.action](found, args)


def _list(run: RunDir, args: argparse.Namespace) -> int:
    from dual_hpc.checkpoint import manifest, select
    from dual_hpc.run import names

    steps = select.steps(run.checkpoints)
    if not steps:
        print(f"{run.path.name} has no checkpoint yet")
    for step in steps:
        folder = run.checkpoints / names.step_folder(step)
        try:
            found = manifest.load(folder)
        except manifest.BadManifest as error:
            print(f"{folder.name}  DAMAGED: {error}")
            continue
        size = sum(proof.bytes for proof in found.files.values()) / 2**20
        ranks = f"{found.world_size} rank(s)"
        print(f"{folder.name}  {size:10.1f} MiB  {len(found.files):4} files  {ranks}  ZeRO {found.zero_stage}")
    return 0


def _verify(run: RunDir, args: argparse.Namespace) -> int:
    import os

    from dual_hpc.checkpoint import select
    from dual_hpc.run import names

    damaged, steps = 0, select.steps(run.checkpoints)
    if not steps:
        print(f"{run.path.name} has no checkpoint yet")
    for step in steps:
        folder = run.checkpoints / names.step_folder(step)
        reasons = select.verify(folder)
        if not os.path.lexists(folder):
            continue  # a running job has deleted it meanwhile
        damaged += bool(reasons)
        print(f"{folder.name}  {'DAMAGED: ' + '; '.join(reasons) if reasons else 'verified'}", flush=True)
    for name in sorted(run.exports.glob("*")):
        if name.is_dir() and not name.name.startswith("step_") and name.suffix != ".tmp":
            damaged += _verify_model(name, f"{run.exports.name}/{name.name}")
    return 1 if damaged else 0


def _saved_model(args: argparse.Namespace) -> Path | None:
    """The folder of a saved model, for the actions that take one in place of a run."""
    folder = Path(args.run_name)
    return folder if args.action in ("verify", "accept") and (folder / "config.json").is_file() else None


def _verify_model(folder: Path, name: str) -> int:
    """Print whether a saved model is proven; 1 if it is damaged."""
    from dual_hpc.model_manifest import MANIFEST, damage_of

    reasons = damage_of(folder)
    if reasons is None:
        print(f"{name}  not verified: no {MANIFEST} (saved by an earlier version?)")
        return 0
    print(f"{name}  {'DAMAGED: ' + '; '.join(reasons) if reasons else 'verified'}", flush=True)
    return 1 if reasons else 0


def _accept(folder: Path) -> int:
    from dual_hpc.errors import EnvironmentFault
    from dual_hpc.model_manifest import MANIFEST, damage_of, write_manifest

    reasons = damage_of(folder)
    try:
        write_manifest(real_path(folder))
    except OSError as error:
        raise EnvironmentFault(f"{folder / MANIFEST} cannot be written: {error.strerror}") from error
    for reason in reasons or ():
        print(f"accepted: {reason}")
    print(f"{folder}  {'verified before' if reasons == [] else 'recorded as it is'}")
    return 0


@contextmanager
def _locked(run: RunDir) -> Iterator[None]:
    """Hold the run's lease, so that no job works on it meanwhile."""
    import os

    from dual_hpc.run.lease import Lease

    lease = Lease.acquire(run.path, f"ckpt-{os.getpid()}", 0, lost=print)
    try:
        yield
    finally:
        lease.release()


def _prune(run: RunDir, args: argparse.Namespace) -> int:
    from dual_hpc.errors import UserError

    keep = 1 if args.keep is None else args.keep
    if keep < 1:
        raise UserError("--keep: at least 1; to start again from zero, give the run another name")
    with _locked(run):  # a job prunes by itself (keep_last)
        return _prune_locked(run, keep)


def _prune_locked(run: RunDir, keep: int) -> int:
    from dual_hpc.checkpoint import commit, reshard, select
    from dual_hpc.checkpoint.retention import steps_to_delete
    from dual_hpc.errors import UserError
    from dual_hpc.run import names

    steps = select.steps(run.checkpoints)
    kept = [step for step in steps if not select.verify(run.checkpoints / names.step_folder(step))][-keep:]
    if steps and not kept:
        raise UserError(f"{run.path.name}: no checkpoint passes verification; see `dual-hpc ckpt verify`")
    # A damaged checkpoint does not count as one of the kept: the newest verified ones stay.
    for step in steps_to_delete(dict.fromkeys(steps, 0.0), len([s for s in steps if s >= kept[0]])) if kept else []:
        commit.remove(run.checkpoints / names.step_folder(step))
        print(f"deleted {names.step_folder(step)}")
    commit.remove_unfinished(run.checkpoints)
    reshard.clear_cache(run.checkpoints / reshard.CACHE)
    return 0


def _export(run: RunDir, args: argparse.Namespace) -> int:
    from dual_hpc.errors import UserError
    from dual_hpc.plugins import load_plugins
    from dual_hpc.training.export import export_checkpoint

    if args.best and args.step is not None:
        raise UserError("--best: has a step of its own; leave out --step")
    load_plugins(run.config().plugins, run.code, args.trust)
    encoders, best = bool(args.with_encoders), bool(args.best)
    graphs = [name for name, asked in (("torch", args.torch_export), ("onnx", args.onnx)) if asked]
    print(export_checkpoint(run.path, args.step, args.out, encoders=encoders, best=best, graphs=graphs))
    return 0


def _convert(run: RunDir, args: argparse.Namespace) -> int:
    import os

    from dual_hpc.errors import UserError

    if args.ranks is None or args.ranks < 1:
        raise UserError("--ranks: give the number of ranks that will load the checkpoint")
    os.environ.setdefault("DS_ACCELERATOR", "cpu")  # a login node; otherwise DeepSpeed warns that it has no GPU
    from dual_hpc.checkpoint import reshard, select
    from dual_hpc.group import SingleProcess

    with _locked(run):  # the next save of a job makes conversions useless and deletes them
        choice = select.latest_verified(run.checkpoints, SingleProcess())
        if choice is None:
            raise UserError(f"{run.path.name} has no checkpoint yet")
        print(reshard.reshard(choice, run.checkpoints / reshard.CACHE, SingleProcess(), args.ranks).folder)
    return 0
