"""What `make gpu` ends with: one table of all parts, also of those that failed or were ended by their limit.

python -m benchmarks.gpu.table OUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.gpu.facts import ON_GPU, read

PARTS = ("machine", "kernel-tests", "training", "step", "kernels", "memcheck")


def main() -> int:
    """Write gpu.json and gpu.md; the exit code is 1 where a part failed."""
    out = Path(sys.argv[1])
    report = collect(out)
    text = markdown(report)
    folders = [out, record.RESULTS] if ON_GPU and report["gpu"] else [out]
    for folder in folders:
        (folder / "gpu.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / "gpu.md").write_text(text, encoding="utf-8")
    print(text)
    return 1 if any(part["outcome"].startswith(("failed", "ended")) for part in report["parts"].values()) else 0


def collect(out: Path) -> dict[str, Any]:
    """Everything that the parts have left in their folder."""
    parts: dict[str, dict[str, Any]] = {}
    for name in PARTS:
        log = out / f"{name}.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        parts[name] = {"outcome": outcome(out / f"{name}.code", lines), "facts": read(out / f"{name}.jsonl")}
    kernels = next((path for path in (out / "kernels_gpu.json", out / "kernels.json") if path.exists()), None)
    found = json.loads(kernels.read_text(encoding="utf-8")) if kernels else {}
    facts = {fact["what"]: fact["value"] for fact in parts["machine"]["facts"]}
    gpu = facts.get("device") if ON_GPU else None
    of_kernels = {key: found.get(key, default) for key, default in (("note", ""), ("rows", []), ("dispatch", []))}
    return {
        "name": "gpu" if ON_GPU else "gpu, rehearsed without one",
        "gpu": gpu,
        "machine": record.machine(gpu),
        "commit": record.commit(),
        "parts": parts,
        "kernels": of_kernels,
    }


def outcome(code: Path, lines: list[str]) -> str:
    """In words: what a part came to, with the last line of what it said."""
    last = next((line for line in reversed(lines) if line.strip()), "")[:160]
    if not code.exists():
        return f"not run: {last}"
    number, seconds = code.read_text().split()
    if number == "0":
        return f"done in {seconds} s" + (f": {last}" if "passed" in last or "skipped" in last else "")
    return f"{'ended by its limit' if number in ('124', '137') else 'failed'} after {seconds} s: {last}"


def markdown(report: dict[str, Any]) -> str:
    """The same for people."""
    lines = [f"# {report['name'].capitalize()}", "", f"{report['machine']}; commit {report['commit']}.", ""]
    lines += ["| part | outcome |", "|---|---|"]
    lines += [f"| {name} | {_cell(part['outcome'])} |" for name, part in report["parts"].items()]
    lines += ["", "| part | what | found |", "|---|---|---|"]
    for name, part in report["parts"].items():
        for fact in part["facts"]:
            lines.append(f"| {name} | {_cell(fact['what'])} | {_cell(fact['value'])} {fact['unit']} |")
    kernels = report["kernels"]
    if kernels["rows"]:
        lines += ["", kernels["note"], "", "| kernel | ours | peer | of | unit | ratio (> 1: ours is better) |"]
        lines += ["|---|---:|---:|---|---|---:|"]
        for r in kernels["rows"]:
            ratio = f"{r['ratio']:.2f}" if "ratio" in r else "–"
            lines.append(f"| {r['case']} | {r['ours']:g} | {r['peer']:g} | {r['peer_name']} | {r['unit']} | {ratio} |")
    if kernels["dispatch"]:
        lines += ["", "Rows for `MEASURED` of `dual_hpc/kernels/dispatch.py`:", ""]
        lines += ["```python", *kernels["dispatch"], "```"]
    lines += ["", "World size 1: neither the binding of several GPUs nor gloo beside NCCL is shown.", ""]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main())
