"""Wrong requests, as a user types them: refused in one clear line, before sbatch is called and before a run is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from dual_hpc.data.index import IndexedSample, Shard, ShardIndex, dataset_id, write_index
from dual_hpc.data.sample import Utterance
from launch.cli.main import main

H100 = ("--profile", "jean-zay-h100", "launch.account=abc@h100", "launch.ranks_per_node=4")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 24 utterances; nothing here reads the shard itself."""
    folder = tmp_path_factory.mktemp("shards")
    samples = [
        IndexedSample(
            meta=Utterance(
                key=f"u{number}",
                corpus="tiny",
                split="dev" if number % 6 == 0 else "train",
                dialogue=f"d{number % 8}",
                utterance=number,
                speaker=f"s{number % 3}",
                label=("angry", "happy", "sad")[number % 3],
                duration=1.0,
                has_audio=True,
                has_video=False,
                has_text=True,
            ),
            members={"json": (0, 1)},
        )
        for number in range(24)
    ]
    shard = Shard(name="tiny.tar", bytes=1, sha256="0" * 64, samples=samples)
    write_index(folder, ShardIndex(dataset_id=dataset_id([shard]), corpus="tiny", options={}, shards=[shard]))
    return folder


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Slurm's commands, replaced by ones that write down that they were called. The real ones: tests/slurm."""
    programs, record = tmp_path / "bin", tmp_path / "calls"
    programs.mkdir()
    for name in ("sbatch", "srun", "scancel", "squeue", "sacct"):
        (programs / name).write_text(f"#!/bin/sh\necho {name} >> {record}\necho Submitted batch job 7\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DUAL_STORE", str(tmp_path / "store"))
    return record


WRONG = [
    (("--profile", "jean-zay-h10"), "did you mean jean-zay-h100"),
    (("--profile", "/nowhere.yaml"), "launch.profile"),
    (("--profile", "jean-zay-h100"), "launch.account"),
    ((*H100, "launch.account=abc@v100"), "ends in @h100"),
    ((*H100, "launch.account=abc"), "write abc@h100"),
    ((*H100, "launch.hours=21"), "qos_gpu_h100-t4"),
    ((*H100, "launch.hours=200"), "launch.hours=200"),
    ((*H100, "launch.hours=0.01"), "shorter than"),
    ((*H100, "launch.hours=0"), "launch.hours"),
    ((*H100, "launch.hours=ten"), "launch.hours"),
    ((*H100, "launch.qos=qos_gpu-t3"), "launch.qos=qos_gpu-t3"),
    ((*H100, "launch.qos=qos_gpu_h100-dev", "launch.hours=1", "launch.nodes=9"), "36"),
    ((*H100, "launch.ranks_per_node=5", "data.global_batch=20"), "has 4"),
    ((*H100, "launch.cpus_per_rank=25"), "launch.cpus_per_rank=25"),
    ((*H100, "launch.constraint=a100"), "launch.constraint=a100"),
    ((*H100, "launch.nodes=0"), "launch.nodes"),
    ((*H100, "launch.node=2"), "did you mean launch.nodes"),
    ((*H100, "data.global_batch=10"), "cannot be shared equally by 4 ranks"),
    ((*H100, "model.text.path=nowhere"), "model.text.path: nowhere is not a folder"),
    (("--profile", "dev", "launch.nodes=5", "data.global_batch=20"), "dev has 4"),
    (("--profile", "dev", "launch.partition=gpu"), "dev offers main"),
    (("--profile", "dev", "launch.cpus_per_rank=5"), "launch.cpus_per_rank=5"),
    (("--profile", "local", "launch.nodes=2"), "launch.nodes=2"),
    (("--profile", "dev", "training.zero_stage=4"), "training.zero_stage"),
    (("--profile", "dev", "name=../x"), "name"),
]


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_a_wrong_request_never_reaches_slurm(
    words: tuple[str, ...], said: str, shards: Path, calls: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "--preset", "demo", "--shards", str(shards), "data.protocol=all", *words]) == 2
    line = capfd.readouterr().err
    assert line.startswith("dual-hpc: error: ") and line.count("\n") == 1 and said in line
    assert not calls.exists() and not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--profile", "dev", "--", "train"), "pack, extract, evaluate"),
        (("--profile", "dev", "--tasks", "2", "--", "evaluate", "trial"), "--tasks=2"),
        (("--profile", "dev", "--tasks", "0", "--", "pack"), "--tasks=0"),
        (("--profile", "dev", "launch.nodes=2", "--", "pack", "meld", "/raw", "--out", "/x"), "use --tasks"),
        (("--", "pack", "meld", "/raw", "--out", "/x"), "run `dual-hpc pack` itself"),
        (("--preset", "demo", "--", "pack"), "--preset"),
    ],
)
def test_a_wrong_command_never_reaches_slurm(
    words: tuple[str, ...], said: str, calls: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", *words]) == 2
    line = capfd.readouterr().err
    assert said in line and line.count("\n") == 1 and not calls.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--grid", "seed"), "no axis"),
        (("--grid", "optim.learning=1,2"), "optim.learning"),
        (("--grid", "seeds=0..1", "--member", "seed=1"), "do not go together"),
        ((), "--grid"),
        (("--grid", "launch.hours=1,2"), "launch.* cannot be an axis"),
        (("--grid", "seeds=0..1", "launch.partition=gpu"), "launch.partition=gpu"),
        (("--show", "nothing"), "--show takes a sweep as it stands"),
    ],
)
def test_a_wrong_sweep_never_reaches_slurm(
    words: tuple[str, ...], said: str, shards: Path, calls: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = ["--preset", "demo", "--shards", str(shards), "data.protocol=all", "--profile", "dev"]
    assert main(["sweep", *base, "tracking.enabled=false", "launch.ranks_per_node=1", *words]) == 2
    line = capfd.readouterr().err
    assert said in line and line.count("\n") == 1 and not calls.exists()


def test_a_dry_run_shows_the_file_and_its_price_and_submits_nothing(
    shards: Path, calls: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--preset", "demo", "--shards", str(shards), "data.protocol=all", *H100, "launch.nodes=2"]
    assert main(["submit", "--dry-run", *words, "launch.hours=10"]) == 0
    shown = capfd.readouterr()
    assert "#SBATCH --nodes=2" in shown.out and "80 GPU-hours" in shown.err
    assert not calls.exists() and not (tmp_path / "store").exists()
