"""`generate`: a synthetic corpus in its official layout, and next to it the plan of what was planted."""

from __future__ import annotations

import functools
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

from dual_hpc.errors import UserError
from dual_hpc.progress import ProgressDisplay
from shards.synthetic.dials import DEFAULTS, Dials
from shards.synthetic.plan import Planned, write_plan

Corpus = Literal["iemocap", "meld"]
Layout = Literal["official", "short", "separate"]
BALANCE_BELOW = 2000  # utterances
_TINY = ".tiny-media"


@dataclass(frozen=True)
class Summary:
    """What was written."""

    corpus: str
    folder: Path
    plan: Path
    utterances: int
    files: int
    bytes: int  # a file with several names counts once
    seconds: float  # of media
    labels: dict[str, int]
    quirks: dict[str, int]  # defect -> utterances that have it


def generate(
    corpus: Corpus,
    out: str | Path,
    utterances: int = 240,
    seed: int = 0,
    *,
    workers: int = 1,
    quirks: bool = True,
    layout: Layout = "official",
    media: Literal["full", "tiny"] = "full",
    balance: bool | None = None,
    encoded_twice: bool = False,
    dials: Dials = DEFAULTS,
    progress: bool | None = None,
) -> Summary:
    """Write a synthetic corpus into the new folder `out`, and `<out>.plan.jsonl` next to it.

    The same arguments give the same bytes, whatever `workers` is. Nothing that packs or trains reads the plan.

    Args:
        utterances: number of annotated utterances; 10,039 (IEMOCAP) and 13,708 (MELD) unbalanced ones have exactly
            the published counts per split, session and class.
        workers: processes (a script that asks for more than one needs an `if __name__ == "__main__"` guard).
        quirks: the releases' irregularities; without them only the names and formats are those of the releases.
        layout: `short` is {Audio,Video,Transcriptions}, which has no labels, and {train,dev,test}; `separate`, MELD's
            {train,dev,test}/{audio,video}, clips without sound and beside them the sound.
        media: `tiny` links every clip to one of a few small files, for tests that need annotations only.
        balance: equal classes (IEMOCAP: those of the four-class protocol, per session and speaker) instead of the
            published proportions; by default for less than 2,000 utterances.
        encoded_twice: MELD's CSVs as in older copies, with cp1252 characters encoded twice.
        dials: what text, voice and face know; at their defaults the bytes are those of before there were any.
        progress: True shows a bar on standard error, False nothing, None a bar only on a terminal.

    Raises:
        UserError: unknown corpus, a folder that is not empty, or too few utterances to fill the splits.
    """
    out = Path(out)
    if corpus not in ("iemocap", "meld"):
        raise UserError(f"corpus {corpus!r} is unknown: use iemocap or meld")
    if layout == "separate" and corpus != "meld":
        raise UserError(
            f"layout: {corpus} has sound and pictures in folders of their own anyway; use official or short"
        )
    if utterances < 20:
        raise UserError(f"utterances={utterances} is too few to fill every split: use 20 or more")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"out: {out} exists and is not an empty folder; choose another one or remove it")
    out.mkdir(parents=True, exist_ok=True)
    balanced = utterances < BALANCE_BELOW if balance is None else balance
    tiny = out / _TINY if media == "tiny" else None
    if tiny:
        tiny.mkdir()
    work = _iemocap if corpus == "iemocap" else _meld
    planned, jobs, finish = work(out, utterances, seed, layout, quirks, balanced, tiny, encoded_twice, dials)
    with ProgressDisplay(f"synth {corpus}", utterances, shown=progress) as bar:
        for count in _run(jobs, 1 if tiny else workers):
            bar.advance(count)
    finish()
    dials.write(out)
    if tiny:
        shutil.rmtree(tiny)
    plan_path = out.with_name(f"{out.name}.plan.jsonl")
    write_plan(plan_path, planned)
    return _summary(corpus, out, plan_path, [utterance for utterance, _ in planned])


Job = Callable[[], Any]
Work = tuple[list[tuple[Planned, dict[str, Any]]], list[tuple[int, Job]], Callable[[], None]]


def _iemocap(
    out: Path,
    utterances: int,
    seed: int,
    layout: Layout,
    quirks: bool,
    balance: bool,
    tiny: Path | None,
    _: bool,
    dials: Dials,
) -> Work:
    from shards.synthetic import iemocap, iemocap_plan

    dialogues = iemocap_plan.plan(utterances, seed, balance, tiny is not None, dials)
    if tiny:
        iemocap.write_tiny_media(tiny)
    planned = [
        (t.planned, dict(session=d.session, dialogue=d.name, scripted=d.scripted, start=t.start, end=t.end))
        for d in dialogues
        for t in d.turns
    ]
    write = functools.partial(iemocap.write_dialogue, out, layout == "short", seed=seed, quirks=quirks, tiny=tiny)
    return planned, [(len(d.turns), functools.partial(write, d)) for d in dialogues], lambda: None


def _meld(
    out: Path,
    utterances: int,
    seed: int,
    layout: Layout,
    quirks: bool,
    balance: bool,
    tiny: Path | None,
    twice: bool,
    dials: Dials,
) -> Work:
    from shards.synthetic import meld, meld_plan

    rows = meld_plan.plan(utterances, seed, balance, tiny is not None, quirks, dials)
    if tiny:
        meld.write_tiny_media(tiny)
    planned = [
        (r.planned, dict(split=r.split, dialogue=r.dialogue, utterance=r.utterance, season=r.season)) for r in rows
    ]
    apart, short = layout == "separate", layout != "official"
    write = functools.partial(meld.write_clip, out, short, seed=seed, tiny=tiny, apart=apart)

    def finish() -> None:
        meld.write_annotations(out, short, rows, quirks, twice)
        if quirks and not apart:
            meld.write_litter(out, short, rows)

    return planned, [(1, functools.partial(write, row)) for row in rows], finish


def _run(jobs: list[tuple[int, Job]], workers: int) -> Iterator[int]:
    """Run every job; yields each one's number of utterances when it is done, in order."""
    if workers <= 1:
        for count, job in jobs:
            job()
            yield count
        return
    # Fork would copy the locks of whatever threads the caller's libraries run.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [(count, pool.submit(job)) for count, job in jobs]
        try:
            for count, future in futures:
                future.result()
                yield count
        finally:
            pool.shutdown(cancel_futures=True)


def _summary(corpus: str, out: Path, plan_path: Path, planned: Iterable[Planned]) -> Summary:
    planned = list(planned)
    files = [path.stat() for path in out.rglob("*") if path.is_file()]
    sizes = {stat.st_ino: stat.st_size for stat in files}
    return Summary(
        corpus=corpus,
        folder=out,
        plan=plan_path,
        utterances=len(planned),
        files=len(files),
        bytes=sum(sizes.values()),
        seconds=round(sum(p.duration for p in planned if p.quirk != "absent"), 3),
        labels=dict(Counter(p.label for p in planned).most_common()),
        quirks=dict(Counter(p.quirk for p in planned if p.quirk)),
    )
