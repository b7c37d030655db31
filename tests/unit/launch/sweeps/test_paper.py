"""The kit of a sweep: what lies in it, and that its commands are ones that work."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from dual_hpc.config import load_config
from dual_hpc.run.directory import RunDir, Segment
from launch.cli.main import VERBS, build_parser, main
from launch.sweeps.grid import SweepDir, find_sweep, listed, members_of
from launch.sweeps.paper_recipe import commands_of, cost_of, not_from_base


@pytest.fixture
def kit(ablation_store: Path, tmp_path: Path) -> Path:
    out = tmp_path / "kit"
    assert main(["paper", "demo-ablation", "--store", str(ablation_store), "--out", str(out)]) == 0
    return out


def test_the_document_shows_every_figure_that_was_drawn(kit: Path) -> None:
    shown = re.findall(r"includegraphics\[.*?\]\{(.*?)\}", (kit / "paper.tex").read_text())
    assert sorted(shown) == sorted(str(path.relative_to(kit)) for path in kit.glob("figures/*.pdf"))


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no TeX on this machine")
def test_tex_makes_pages_of_the_document(kit: Path) -> None:
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=kit, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and (kit / "paper.pdf").exists(), done.stdout[-2000:]


def sweep_of(ablation_store: Path) -> SweepDir:
    found = find_sweep("demo-ablation", ablation_store)
    assert found is not None
    return found


def test_the_kit_holds_tables_figures_configurations_and_facts(kit: Path) -> None:
    written = {str(path.relative_to(kit)) for path in kit.rglob("*") if path.is_file()}
    assert {
        "REPRODUCE.md",
        "facts.json",
        "paper.tex",
        "config/base.yaml",
        *(f"tables/comparison.{ending}" for ending in ("tex", "md", "csv", "json")),
        *(f"figures/comparison.{ending}" for ending in ("pdf", "png")),
    } <= written
    assert sum(name.startswith("config/demo-ablation") for name in written) == 6
    facts = json.loads((kit / "facts.json").read_text())
    assert facts["datasets"] == ["sha-1"] and facts["code_versions"] == ["unknown"] and facts["not_from_base"] == []
    assert facts["environment"]["python"] and facts["environment"]["torch"]
    assert facts["models"]["full"] == {"seeds": [0, 1, 2], "folds": [5]}


def test_what_the_members_share_names_nothing_of_this_machine(kit: Path, tmp_path: Path) -> None:
    for name in ("config/base.yaml", "REPRODUCE.md", "paper.tex"):
        assert str(tmp_path) not in (kit / name).read_text()


def test_the_page_s_commands_are_parsed_and_its_sweep_makes_the_same_members(
    kit: Path,
    ablation_store: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(kit)
    import importlib

    page = (kit / "REPRODUCE.md").read_text()
    commands = commands_of(page)
    assert [words[0] for words in commands] == ["inspect", "sweep", "sweep", "compare", "paper"]
    assert "export SHARDS=" in page and ["$SHARDS" in words for words in commands] == [True, True, False, False, False]
    parsed = []
    for verb, *words in commands:
        assert verb in VERBS
        parsed.append(build_parser(verb, importlib.import_module(f"launch.cli.{verb}")).parse_intermixed_args(words))
    again = parsed[1]
    assert listed("demo-ablation", members_of(again.member)) == sweep_of(ablation_store).sweep
    for member, run in zip(sweep_of(ablation_store).sweep.members, sweep_of(ablation_store).runs(), strict=True):
        made = load_config(again.config, [*again.overrides, *member.overrides])
        hidden = {"name", "store", "tracking", "launch"}
        assert made.model_dump(exclude=hidden) == run.config().model_dump(exclude=hidden)


def test_a_member_that_the_command_would_not_make_is_named(kit: Path, ablation_store: Path) -> None:
    run = sweep_of(ablation_store).runs()[2]
    config = run.config_file.read_text()
    run.config_file.write_text(re.sub(r"epochs: \d+", "epochs: 99", config))
    assert not_from_base(sweep_of(ablation_store), kit / "config/base.yaml") == [run.path.name]


def test_hours_are_those_of_goodput_from_when_each_job_was_given_its_nodes(tmp_path: Path) -> None:
    runs = [RunDir.create(tmp_path / name, load_config("demo", [f"store={tmp_path}"])) for name in ("a", "b")]
    for run, cores in zip(runs, (2, 4), strict=True):
        run.append_segment(Segment(event="start", job_id="1", time=3600, world_size=2, cores=cores, allocated=1800))
        run.append_segment(Segment(event="end", job_id="1", time=5400))
    cost = cost_of(runs)
    assert (cost.hours, cost.used.held, cost.used.unit) == (2.0, 6.0, "core-hours")


def test_a_sweep_that_is_not_there_or_was_not_evaluated_is_one_line(
    ablation_store: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    assert main(["paper", "nobody", "--store", str(ablation_store)]) == 2
    assert "there is no sweep 'nobody'" in capsys.readouterr().err
    next((ablation_store / "runs").glob("*/reports/*.jsonl")).unlink()
    assert main(["paper", "demo-ablation", "--store", str(ablation_store), "--out", str(tmp_path / "k")]) == 2
    assert "has no predictions" in capsys.readouterr().err
