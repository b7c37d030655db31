"""The whole workflow, by the commands that a user would type: `make demo`.

Small synthetic corpora in the official layouts, shards, two ranks under DeepSpeed ZeRO, MLflow, evaluation, prediction.
On this machine it computes on the CPU, so that it is the same everywhere.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from dual_hpc.data.decoding.container import UnreadableMedia, probe
from dual_hpc.errors import UserError
from dual_hpc.printable import json_line
from launch.cli.exit_code import exit_code
from launch.cli.main import main as dual_hpc

RUN = "demo"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m launch.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="default ./demo")
    parser.add_argument("--utterances", type=int, default=240, metavar="N", help="of IEMOCAP (default %(default)s)")
    parser.add_argument("--profile", default="local", help="where to train (default %(default)s)")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for `dual-hpc train`")
    args = parser.parse_args(argv)
    if args.profile == "local":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # two ranks, and a machine with one GPU has none for the second
    return exit_code(lambda: _demo(args), sys.argv[1:] if argv is None else argv)


def _demo(args: argparse.Namespace) -> int:
    start = time.monotonic()
    out: Path = args.out.absolute()
    store = out / "store"
    try:
        clear(out)
        _prepare(out, store, args.utterances)
        _step(
            *("submit", "--wait", "--preset", "demo", "--profile", args.profile),
            *("--shards", store / "shards" / "iemocap", f"store={store}", f"name={RUN}", *args.overrides),
        )
        run = store / "runs" / RUN
        _step("evaluate", run)
        clip = raw_clip(out / "corpora" / "meld")
        answers = out / "prediction.jsonl"
        _step("predict", "--model", run / "export" / "best", "--input", clip, "--output", answers)
    except _Failed as failed:
        return failed.code
    answer = json.loads(answers.read_text(encoding="utf-8"))
    print(json_line(answer), flush=True)
    seconds = time.monotonic() - start
    summary = summarise(json.loads((run / "reports" / "test_best.json").read_text()), run, seconds, answer)
    (out / "summary.json").write_text(json.dumps(summary, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    _print_summary(summary, store)
    return 0


def clear(out: Path) -> None:
    """Make the folder empty: an earlier demonstration is deleted, anything else is refused.

    Raises:
        UserError: the folder holds corpora or a store of other origin, or cannot be made.
    """
    mark = out / ".demo"  # made first, so that a demonstration that was killed at any time is recognised
    made = [out / "corpora", out / "store"]
    known = mark.exists() or (out / "summary.json").exists()
    if not known and any(folder.exists() for folder in made):
        raise UserError(
            f"--out: {out} holds corpora or a store that the demonstration did not make; choose another folder"
        )
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        out.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError as error:
        raise UserError(f"--out: {out} cannot be written ({error.strerror})") from error


def summarise(report: dict[str, Any], run: Path, seconds: float, answer: dict[str, Any]) -> dict[str, Any]:
    """The content of `summary.json`; scores as shares of one."""
    return {
        "run": str(run),
        "seconds": round(seconds, 1),
        "ua_majority": report["baselines"]["majority"]["ua"],
        "ua_av": report["subsets"]["av"]["ua"],
        "ua_avt": report["subsets"]["avt"]["ua"],
        "predict": answer,
    }


def _prepare(out: Path, store: Path, utterances: int) -> None:
    for corpus, count in (("iemocap", utterances), ("meld", max(30, utterances // 4))):
        raw = out / "corpora" / corpus
        _step("synth", corpus, "--out", raw, "--utterances", count)
        _step("pack", corpus, raw, "--out", store / "shards" / corpus, "--video-size", 96, "--workers", 2)


def raw_clip(corpus: Path) -> Path:
    """A readable clip of a corpus that the model was not trained on."""
    for clip in sorted(corpus.rglob("dia*_utt*.mp4")):
        try:
            probe(clip)
        except UnreadableMedia:
            continue
        return clip
    raise UserError(f"{corpus} holds no readable clip")


class _Failed(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


def _step(*arguments: object) -> None:
    """Print a command as a user would type it, and run it."""
    command = [str(argument) for argument in arguments]
    print(f"\n$ dual-hpc {shlex.join(command)}", flush=True)
    code = dual_hpc(command)
    if code != 0:
        raise _Failed(code)


def _print_summary(summary: dict[str, Any], store: Path) -> None:
    ua = {key: 100 * summary[key] for key in ("ua_majority", "ua_av", "ua_avt")}
    print(
        f"\nrun      {summary['run']}\n"
        f"UA       majority {ua['ua_majority']:.1f}   {{A,V}} {ua['ua_av']:.1f}   {{A,V,T}} {ua['ua_avt']:.1f}"
        f"   text adds {ua['ua_avt'] - ua['ua_av']:+.1f}\n"
        f"time     {summary['seconds']:.0f} s\n"
        f"MLflow   {Path(sys.executable).parent / 'dual-hpc'} ui --store {store}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
