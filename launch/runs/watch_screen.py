"""The screen of `dual-hpc watch`, as lines of text that fit it. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dual_hpc.durations import duration
from dual_hpc.evaluation.score_text import FIRST_KEY, VALIDATION_KEYS, score_number, score_text
from dual_hpc.printable import printable
from dual_hpc.run.phases import PHASES
from launch.runs.screen_lines import fit, flow, table, wrapped
from launch.runs.summary import RunSummary
from launch.runs.watch import View

_BARS = "▁▂▃▄▅▆▇█"
KEYS = "q: leave   n, p: the log of the next or previous rank"
KEYS_OF_SWEEP = "q: leave   n, p: scroll"
SWEEP_COLUMNS = ("member", "state", "step", "best, %", "loss", "goodput", "UA{A,V}", "UA{A,V,T}")


def run_screen(view: View, width: int, height: int) -> list[str]:
    """A run: at most `height` lines of at most `width` columns; the log and the events share what is left."""
    head = _head(view, width)
    rest = max(0, height - len(head) - 1)
    events = [f"{_clock(e.time)} {'' if e.step is None else f'step {e.step}  '}{e.text}" for e in view.events]
    log = [f" {line}" for line in view.log]
    space = max(0, rest - 2)  # two headings
    shown_events = min(len(events), max(space // 3, space - len(log)))
    shown_log = min(len(log), space - shown_events)
    lines = [*head]
    if shown_events:
        lines += ["events:", *(f" {event}" for event in events[-shown_events:])]
    if shown_log:
        lines += [f"log of rank {view.rank} ({_ranks(view.ranks)}):", *log[-shown_log:]]
    lines = [*lines[: height - 1], f"{KEYS}   {_clock(view.updated)}"]
    return [fit(line, width) for line in lines]


def sweep_screen(name: str, rows: Sequence[RunSummary], first: int, width: int, height: int, now: float) -> list[str]:
    """A sweep: one line for each member, from the `first` on."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.state.value] = counts.get(row.state.value, 0) + 1
    title = f"sweep {name}: {len(rows)} members, " + ", ".join(f"{n} {state}" for state, n in counts.items())
    shown = rows[first : first + max(0, height - 3)]
    lines = [title, *table(SWEEP_COLUMNS, [_cells(row) for row in shown], width, flexible=max(8, width // 3))]
    for number, row in enumerate(shown, 2):
        lines[number] += f"  {row.bottleneck}" if row.bottleneck else ""
    lines = [*lines[: height - 1], f"{KEYS_OF_SWEEP}   {_clock(now)}"]
    return [fit(line, width) for line in lines]


def plain_line(view: View) -> str:
    """One line of a run, where the output is no terminal."""
    parts = [f"{_clock(view.updated)} {view.name} {view.state.value} step {view.step}/{view.total or '?'}"]
    parts += [f"{name} {value}" for name, value in _figures(view)]
    if "train/data_wait" in view.metrics:
        parts.append(f"data wait {view.metrics['train/data_wait']:.0%}")
    return printable("  ".join(parts))


def sparkline(values: Sequence[float], width: int) -> str:
    """The curve of some values; those that are not finite are blanks."""
    shown = [value for value in values[-width:]]
    finite = [value for value in shown if abs(value) < float("inf")]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((v - low) * scale)] if abs(v) < float("inf") else " " for v in shown)


def _head(view: View, width: int) -> list[str]:
    done = view.step / view.total if view.total else 0.0
    bar_width = max(10, min(40, width - 60))
    filled = round(done * bar_width)
    left = []
    if view.total and view.step_seconds is not None and view.active and view.step < view.total:
        left = [f"{duration((view.total - view.step) * view.step_seconds)} left, validations aside"]
    bar = "█" * filled + "░" * (bar_width - filled)
    place = f"step {view.step}/{view.total or '?'}"
    lines = flow([view.name, view.state.value, place, f"{bar} {done:.0%}", *left], width, "  ")
    lines += flow((f"{name} {value}" for name, value in _figures(view)), width)
    if len(view.losses) > 1:
        lines.append(f"loss  {sparkline(view.losses, max(10, width - 8))}")
    shares = [(p, view.metrics[f"train/{p}"]) for p in PHASES if f"train/{p}" in view.metrics]
    if shares:
        lines += flow(("time ", *_large(shares)), width, " ")
    worst = [(p, view.metrics[f"ranks/{p}_worst"]) for p in PHASES if f"ranks/{p}_worst" in view.metrics]
    if worst:
        lines += flow(("worst", *_large(worst)), width, " ")
    lines += wrapped(f"slow  {view.bottleneck}", width) if view.bottleneck else []
    lines += wrapped(view.goodput, width) if view.goodput else []
    lines += [_node(name, values) for name, values in list(view.nodes.items())[:8]]
    if len(view.nodes) > 8:
        lines.append(f"and {len(view.nodes) - 8} more nodes")
    return [line for line in lines if line]


def _large(shares: Sequence[tuple[str, float]]) -> list[str]:
    return [f"{phase} {share:.0%} " for phase, share in shares if share >= 0.005]


def _cells(row: RunSummary) -> list[str]:
    values = ["" if row.loss is None else f"{row.loss:.3f}", "" if row.goodput is None else f"{row.goodput:.0%}"]
    scores = [score_number(FIRST_KEY, score) for score in (row.ua_av, row.ua_avt)]
    return [row.name, row.state.value, f"{row.step}/{row.total or '?'}", row.best_text, *values, *scores]


def _figures(view: View) -> list[tuple[str, str]]:
    metrics = view.metrics
    found = [
        ("loss", "train/loss", "{:.4g}"),
        ("samples/s", "train/samples_per_second", "{:.4g}"),
        ("lr", "train/lr", "{:.2g}"),
        ("grad", "train/grad_norm", "{:.3g}"),
        ("host GB", "train/host_memory_gb", "{:.1f}"),
        ("GPU GB", "train/device_memory_gb", "{:.1f}"),
    ]
    figures = [(name, form.format(metrics[key])) for name, key, form in found if key in metrics]
    best = (
        [("best", f"{score_text(view.selects, view.best[0], view.seen)} at step {view.best[1]}")] if view.best else []
    )
    last = [("last", score_text(key, metrics[key], view.seen)) for key in VALIDATION_KEYS if key in metrics]
    return [*figures[:1], *best, *last, *figures[1:]]


def _node(name: str, values: dict[str, float]) -> str:
    gpus = [values[key] for key in sorted(values) if key.startswith("gpu_") and key.endswith("utilization_percentage")]
    memory = [
        values[key] for key in sorted(values) if key.startswith("gpu_") and key.endswith("memory_usage_percentage")
    ]
    parts = [f"GPU {' '.join(f'{one:.0f}' for one in gpus)} %"] if gpus else []
    parts += [f"GPU memory {' '.join(f'{one:.0f}' for one in memory)} %"] if memory else []
    for label, key in (("CPU", "cpu_utilization_percentage"), ("memory", "system_memory_usage_percentage")):
        parts += [f"{label} {values[key]:.0f} %"] if key in values else []
    return f"node  {name}: {'   '.join(parts)}" if parts else ""


def _ranks(ranks: Sequence[int]) -> str:
    return f"of {ranks[0]} to {ranks[-1]}" if ranks else "no logs yet"


def _clock(moment: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(moment))
