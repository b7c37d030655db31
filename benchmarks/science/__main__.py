"""Every family on a synthetic corpus with planted truth, and DUAL without each of its parts.

`python -m benchmarks.science [--seeds N]` makes the corpus, trains and evaluates what is missing, seed after seed, and
writes `results/science.md`. Stopped and started again it goes on; `--show` trains nothing and writes what there is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.science import page
from benchmarks.science.corpus import Corpus, data_of, prepare
from benchmarks.science.members import Member, alone, configured, dropped, families, switches, variants
from benchmarks.science.training import finish, import_all, predictions_file
from dual_hpc.config.paths import runs_dir
from dual_hpc.evaluation.classical.run import evaluate_classical
from shards.synthetic import Dials


def main() -> None:
    options = arguments().parse_args()
    torch.set_num_threads(1)
    dials = Dials(options.text_knows, options.text_lies, options.voice, options.face, options.movement)
    store = options.work.absolute()
    corpus = prepare(store / "corpus", options.utterances, dials, seed=0)
    svm = store / "svm"
    if not (svm / "test_best_predictions.jsonl").exists():
        evaluate_classical(data_of(corpus.media), "mfcc", svm, progress=False)
    failed = 0
    if not options.show:
        import_all()
        failed = train(options, corpus, store)
    seeds = page.Seeds(range(options.seeds), range(family_seeds(options)))
    print(page.write(store, seeds, dials, corpus, options.epochs).read_text(encoding="utf-8"))
    if failed:
        raise SystemExit(f"{failed} runs failed")


def train(options: argparse.Namespace, corpus: Corpus, store: Path) -> int:
    """What is missing, one after the other, with progress on standard error; returns how many failed."""
    todo = list(planned(options))
    runs = runs_dir(store)
    missing = [(one, seed) for one, seed in todo if not predictions_file(runs / one.run_name(seed)).exists()]
    print(f"{len(todo) - len(missing)} of {len(todo)} runs were done before", file=sys.stderr, flush=True)
    failed = 0
    for number, (member, seed) in enumerate(missing, 1):
        began, ended = time.monotonic(), "done"
        try:
            finish(configured(member, seed, store, corpus.features, options.epochs))
        except RuntimeError as error:  # the others are trained all the same
            failed, ended = failed + 1, str(error)
        took = time.monotonic() - began
        print(
            f"{member.run_name(seed)}: {ended}, {took:.0f} s ({number} of {len(missing)})", file=sys.stderr, flush=True
        )
    return failed


def planned(options: argparse.Namespace) -> Iterator[tuple[Member, int]]:
    """Seeds one after the other, so that what there is at any time compares all members."""
    for kind in (families, switches, alone, dropped, variants):
        if options.only in (None, kind.__name__):
            members = [member for member in kind() if options.cases in member.name]
            count = family_seeds(options) if kind is families else options.seeds
            yield from ((member, seed) for seed in range(count) for member in members)


def family_seeds(options: argparse.Namespace) -> int:
    """Of each family."""
    return options.family_seeds or options.seeds


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.science", description=__doc__)
    default = Path(tempfile.gettempdir()) / "dual-hpc-science"
    parser.add_argument("--work", type=Path, default=default, help="corpus and runs (default %(default)s)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--family-seeds", type=int, help="of the families, where it is not as many as of the others")
    parser.add_argument("--utterances", type=int, default=1200, help="of the synthetic IEMOCAP (default %(default)s)")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--text-knows", type=float, default=0.7)
    parser.add_argument("--text-lies", type=float, default=0.1)
    parser.add_argument("--voice", type=float, default=0.35)
    parser.add_argument("--face", type=float, default=0.45)
    parser.add_argument("--movement", choices=["regular", "shared"], default="shared")
    parser.add_argument("--only", choices=["families", "switches", "alone", "dropped", "variants"])
    parser.add_argument("--cases", default="", help="train only those whose names contain this")
    parser.add_argument("--show", action="store_true", help="train nothing; the tables of what there is")
    return parser


if __name__ == "__main__":
    main()
