"""Wrong requests, as a user types them: refused in one clear line, before sbatch is called and before a run is made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dual_hpc.data.format.index import IndexedSample, Shard, ShardIndex, dataset_id, write_index
from dual_hpc.data.format.sample import Utterance
from dual_hpc.tracking.mlflow_store import Store
from launch.cli.main import main
from launch.cluster import code_archive

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
                split=("dev", "test", "train", "train", "train", "train")[number % 6],
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


A100 = ("--profile", "jean-zay-a100", "launch.account=abc@a100", "launch.ranks_per_node=8")
V100 = ("--profile", "jean-zay-v100", "launch.account=abc@v100", "launch.ranks_per_node=4")
PREPOST = ("--profile", "jean-zay-prepost")

WRONG = [
    # the profile
    (("--profile", "jean-zay-h10"), "did you mean jean-zay-h100"),
    (("--profile", "/nowhere.yaml"), "launch.profile: /nowhere.yaml does not exist"),
    (("--profile", "/"), "launch.profile"),
    # the account
    (("--profile", "jean-zay-h100"), "launch.account"),
    ((*H100, "launch.account=abc@v100"), "ends in @h100"),
    ((*H100, "launch.account=abc"), "write abc@h100"),
    ((*H100, 'launch.account="@h100"'), "before the @"),
    ((*H100, "launch.account=a b@h100"), "is not a valid Slurm value"),
    ((*H100, 'launch.account="abc\\n#SBATCH --uid=0@h100"'), "is not a valid Slurm value"),
    # the time
    ((*H100, "launch.hours=21"), "qos_gpu_h100-t4"),
    ((*H100, "launch.hours=200"), "launch.hours=200"),
    ((*H100, "launch.hours=0.01"), "shorter than"),
    ((*H100, "launch.hours=0"), "launch.hours"),
    ((*H100, "launch.hours=-3"), "launch.hours"),
    ((*H100, "launch.hours=ten"), "launch.hours"),
    ((*H100, "launch.hours=20h"), "launch.hours"),
    ((*H100, "launch.hours=1:30"), "launch.hours"),
    ((*H100, "launch.hours=20:00:00"), "launch.hours"),
    ((*H100, "launch.hours=1-00:00:00"), "launch.hours"),
    ((*H100, "launch.hours=1e9"), "launch.hours"),
    ((*H100, "launch.total_hours=.inf"), "launch.total_hours"),
    ((*H100, "launch.hours=.inf"), "launch.hours"),
    ((*H100, "launch.hours=.nan"), "launch.hours"),
    ((*H100, "launch.hours="), "launch.hours"),
    (("--profile", "dev", "launch.hours=.inf"), "launch.hours"),
    # QoS, partition, constraint
    ((*H100, "launch.qos=qos_gpu-t3"), "launch.qos=qos_gpu-t3"),
    ((*H100, "launch.qos=qos_gpu_h100-dev", "launch.hours=1", "launch.nodes=9"), "36"),
    ((*H100, "launch.qos=qos_gpu_h100-dev", "launch.hours=3"), "qos_gpu_h100-dev allows 2"),
    ((*H100, "launch.qos=qos_gpu_h100-t4", "launch.nodes=17", "data.global_batch=68"), "qos_gpu_h100-t4 allows 64"),
    ((*H100, "launch.nodes=129", "data.global_batch=516"), "qos_gpu_h100-t3 allows 512"),
    ((*A100, "launch.hours=30"), "no other qos allows more"),
    ((*A100, "launch.nodes=17", "data.global_batch=136"), "qos_gpu_a100-t3 allows 128"),
    ((*A100, "launch.qos=qos_gpu_a100-t4"), "jean-zay-a100 offers"),
    ((*V100, "launch.qos=qos_gpu-t4", "launch.nodes=5", "data.global_batch=20", "launch.hours=50"), "allows 16"),
    ((*V100, "launch.constraint=a100"), "jean-zay-v100 is for v100-32g"),
    ((*H100, "launch.constraint=a100"), "launch.constraint=a100"),
    ((*H100, "launch.partition=gpu p13"), "is not a valid Slurm value"),
    (("--profile", "dev", "launch.partition=gpu"), "dev offers main"),
    # nodes, GPUs, cores
    ((*H100, "launch.nodes=0"), "launch.nodes"),
    ((*H100, "launch.nodes=1.5"), "launch.nodes"),
    ((*H100, "launch.nodes=two"), "launch.nodes"),
    ((*H100, "launch.ranks_per_node=5", "data.global_batch=20"), "has 4"),
    ((*A100, "launch.ranks_per_node=9", "data.global_batch=18"), "has 8"),
    ((*H100, "launch.ranks_per_node=0"), "launch.ranks_per_node"),
    ((*H100, "launch.cpus_per_rank=25"), "launch.cpus_per_rank=25"),
    ((*A100, "launch.cpus_per_rank=9"), "launch.cpus_per_rank=9"),
    ((*V100, "launch.ranks_per_node=1", "launch.cpus_per_rank=40"), "charges more"),
    (("--profile", "dev", "launch.nodes=5", "data.global_batch=20"), "dev has 4"),
    (("--profile", "dev", "launch.extra={clusters: other}"), "export SLURM_CLUSTERS=NAME"),
    (("--profile", "dev", "launch.nodes=7"), "launch.nodes=7: dev has 4"),  # which does not divide the batch either
    (("--profile", "dev", "launch.cpus_per_rank=5"), "launch.cpus_per_rank=5"),
    (("--profile", "local", "launch.nodes=2"), "launch.nodes=2"),
    ((*PREPOST, "launch.cpus_per_rank=49"), "launch.cpus_per_rank=49"),
    ((*PREPOST, "launch.hours=21"), "prepost allows 20"),
    ((*PREPOST, "launch.nodes=2"), "prepost allows 1"),
    ((*V100, "training.precision=bf16"), "jean-zay-v100 have no bfloat16"),
    # settings
    ((*H100, "launch.node=2"), "did you mean launch.nodes"),
    ((*H100, "launch.gpus=4"), "launch.gpus: unknown key"),
    ((*H100, "lunch.nodes=2"), "did you mean launch"),
    ((*H100, "launch"), "launch"),
    ((*H100, "=3"), "=3"),
    ((*H100, "data.global_batch=10"), "cannot be divided equally among 4 ranks"),
    ((*H100, "model.text.path=nowhere"), "model.text.path: nowhere is not a folder"),
    ((*H100, "model.text.path=$NOT_SET/bert"), "NOT_SET"),
    ((*H100, "model.text.path=/tmp"), "model.text.path: /tmp holds no config.json"),
    (("--profile", "dev", "training.zero_stage=4"), "training.zero_stage"),
    (("--profile", "dev", "name=../x"), "name"),
    (("--profile", "dev", "name="), "name"),
    (("--profile", "dev", "data.protocol=iemocap4"), "data.protocol: iemocap4 is defined on iemocap"),
    # the store and the data
    (("--profile", "dev", "store=/dev/null/store"), "store: /dev/null is not a folder"),
    (("--profile", "dev", "--shards", "/nowhere"), "/nowhere"),
    (("--profile", "dev", "store=$NOT_SET"), "NOT_SET"),
    (("--profile", "dev", "store=/tmp/100%jobs"), "store: '/tmp/100%jobs' holds a %"),
    (("--profile", "local", r"store=/tmp/back\slash"), "holds a %, a backslash"),
    (("--profile", "dev", 'store="/tmp/two\\nlines"'), "a line break"),
    # other options
    (("--profile", "dev", "--tasks", "2"), "--tasks is for a command"),
    (("--profile", "dev", "--tasks", "two"), "--tasks"),
    (("--profile", "dev", "--nodes", "2"), "--nodes"),
    (("--profile", "dev", "--then", "predict"), "--then"),
    (("--profile", "local", "--then", "evaluate"), "--then: local has no queue"),
    (("--profile", "dev", "launch.nodes=7"), "dev has 4"),  # which do not divide the batch either
    (("--profile", "dev", "launch.after=[gone]"), "there is no run, sweep or job 'gone'"),
]


def refused(words: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    """The command says this in one line and ends with exit code 2."""
    try:
        code: object = main(words)
    except SystemExit as left:
        code = left.code
    line = capfd.readouterr().err
    assert line.startswith("dual-hpc: error: ") and line.count("\n") == 1 and said in line
    assert code == 2


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_a_wrong_request_never_reaches_slurm(
    words: tuple[str, ...], said: str, shards: Path, calls: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refused(["submit", "--preset", "demo", "--shards", str(shards), "data.protocol=all", *words], said, capfd)
    assert not calls.exists() and not (tmp_path / "store").exists()


DEV = ("--profile", "dev")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*DEV, "--", "train"), "pack, extract, evaluate"),
        ((*DEV, "--"), "--preset"),
        ((*DEV, "--tasks", "2", "--", "sweep", "--evaluate", "cv"), "--tasks=2"),
        ((*DEV, "--tasks", "0", "--", "pack"), "--tasks=0"),
        (
            (*DEV, "--tasks", "2000", "--", "pack", "meld", "/", "--out", "x"),
            "a job array of dev has 1001",
        ),
        ((*DEV, "launch.nodes=2", "--", "pack", "meld", "/raw", "--out", "/x"), "use --tasks"),
        (("--", "pack", "meld", "/raw", "--out", "/x"), "run `dual-hpc pack` itself"),
        (("--preset", "demo", "--", "pack"), "--preset"),
        ((*DEV, "--wait", "--", "pack", "meld", "/"), "--wait"),
        ((*DEV, "optim.lr=1", "--", "pack", "meld", "/"), "optim.lr=1"),
        ((*DEV, "--", "pack", "meld", "/nowhere"), "/nowhere does not exist"),
        ((*DEV, "--", "pack", "melt", "/"), "melt"),
        ((*DEV, "--", "pack", "meld", "/", "--out", "/dev/null/x"), "store: /dev/null is not a folder"),
        ((*DEV, "--", "pack", "meld", "/", "--array-index", "1", "--array-count", "2"), "write --tasks N"),
        ((*DEV, "--", "extract", "/nowhere", "--preset", "demo", "--out", "x"), "/nowhere holds no index.json"),
        ((*DEV, "--", "extract", "/nowhere", "--out", "x"), "--model"),
        ((*DEV, "--", "extract", "SHARDS", "--preset", "demo", "--out", "x"), "model.audio.path is not set"),
        ((*DEV, "--", "extract", "SHARDS", "--preset", "dem", "--out", "x"), "preset 'dem' is unknown"),
        ((*DEV, "--", "evaluate"), "evaluate what?"),
        ((*DEV, "--", "evaluate", "gone"), "there is no run 'gone'"),
        ((*DEV, "--", "evaluate", "--model", "/nowhere"), "/nowhere holds no config.json"),
        ((*DEV, "--", "sweep", "--show", "cv"), "sweep needs --evaluate NAME"),
        ((*DEV, "--", "sweep", "--evaluate", "cv"), "no sweep 'cv'"),
        (("--profile", "jean-zay-h100", "--", "evaluate", "gone"), "launch.account"),
        ((*DEV, "store=/dev/null", "--", "pack", "meld", "/"), "store: /dev/null is not a folder"),
        ((*DEV, "store=/tmp/%u", "--", "pack", "meld", "/"), "store: '/tmp/%u' holds a %"),
    ],
)
def test_a_wrong_command_never_reaches_slurm(
    words: tuple[str, ...], said: str, shards: Path, calls: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refused(["submit", *(str(shards) if word == "SHARDS" else word for word in words)], said, capfd)
    assert not calls.exists() and not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--grid", "seed"), "not a valid axis"),
        (("--grid", "optim.learning=1,2"), "optim.learning"),
        (("--grid", "seeds=0..1", "--member", "seed=1"), "do not go together"),
        ((), "--grid"),
        (("--grid", ""), "not a valid axis"),
        (("--grid", "seeds="), "not a valid axis"),
        (("--grid", "seeds=,"), "has no values"),
        (("--grid", "seeds=1,,2"), "has an empty value"),
        (("--grid", "seeds=4..0"), "counts down: write 0..4"),
        (("--grid", "seeds=1,1"), "the value 1 comes twice"),
        (("--grid", "seeds=1,01"), "are the same"),
        (("--grid", "seeds=0..1", "--grid", "seed=2,3"), "one axis per setting"),
        (("--grid", "seeds=0..99999"), "100,000 members"),
        (("--grid", "seeds=0..1001"), "a job array of dev has 1001 at most"),
        (("--grid", "seeds=-1..3"), "seed"),
        (("--grid", "seeds=a,b"), "seed"),
        (("--grid", "folds=all"), "bring their own split"),
        (("--grid", "folds=0..9"), "data.test_fold"),
        (("--grid", "folds=some"), "data.test_fold"),
        (("--grid", "launch.hours=1,2"), "launch.* cannot be an axis"),
        (("--grid", "name=a,b"), "name: the members of a sweep share it"),
        (("--grid", "store=/a,/b"), "store: the members of a sweep share it"),
        (("--member", ""), "--member"),
        (("--member", "'seed=1"), "no closing quotation"),
        (("--member", "seed=1 seed=2"), "set twice"),
        (("--member", "seed=1", "--member", "seed=1"), "the same"),
        (("--grid", "seeds=0..1", "launch.partition=gpu"), "launch.partition=gpu"),
        (("--grid", "seeds=0..1", "--parallel", "0"), "--parallel=0"),
        (("--grid", "seeds=0..1", "--new-code"), "--new-code"),
        (("--grid", "seeds=0..1", "--store", "/x"), "store=DIR"),
        (("--grid", "seeds=0..1", f"name={'x' * 63}"), "too long for a sweep"),
        (("--grid", "data.global_batch=10,9", "launch.ranks_per_node=2"), "cannot be divided equally"),
        (("--show", "nothing"), "--show takes an existing sweep"),
    ],
)
def test_a_wrong_sweep_never_reaches_slurm(
    words: tuple[str, ...], said: str, shards: Path, calls: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = ["--preset", "demo", "--shards", str(shards), "data.protocol=all", "--profile", "dev"]
    refused(["sweep", *base, "launch.ranks_per_node=1", *words], said, capfd)
    assert not calls.exists() and not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("--show", "nothing"),
        ("--evaluate", "nothing"),
        ("--resubmit", "nothing"),
        ("--resubmit", "nothing", "launch.hours=2"),
    ],
)
def test_a_sweep_that_is_not_there_is_named(
    words: tuple[str, ...], calls: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refused(["sweep", *words], "there is no sweep 'nothing'", capfd)


@pytest.mark.parametrize("what", ["--show", "--evaluate"])
def test_what_submits_nothing_takes_no_number_of_members_at_a_time(
    what: str, calls: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refused(["sweep", what, "nothing", "--parallel", "2"], f"{what} takes an existing sweep, without --parallel", capfd)


def test_changed_code_is_refused_where_clean_is_asked_for(
    shards: Path, calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(code_archive, "_changes", lambda root: ["launch/new.py", "launch/changed.py"])
    for verb in (["submit"], ["sweep", "--grid", "seeds=0..1"]):
        words = [*verb, "--clean", "--preset", "demo", "--shards", str(shards), "data.protocol=all", *DEV]
        refused(words, "launch/new.py and 1 more", capfd)
    assert not calls.exists() and not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("submit", "--preset", "demo", "data.protocol=all", *DEV),
        ("sweep", "--preset", "demo", "data.protocol=all", *DEV, "--grid", "seeds=0..2"),
        ("submit", *DEV, "--", "pack", "meld", "/", "--out", "/tmp"),
    ],
)
def test_what_slurm_refuses_leaves_no_run_behind(
    words: tuple[str, ...], shards: Path, calls: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: Invalid account or account/partition combination' >&2; exit 1\n")
    at = words.index("--preset") if "--preset" in words else None
    data = [] if at is None else ["--shards", str(shards)]
    assert main([*words[:1], *data, *words[1:]]) == 1
    line = capfd.readouterr().err
    assert "sbatch refused" in line and "Invalid account" in line and line.count("\n") == 1
    left = [path for kind in ("runs", "sweeps", "jobs") for path in (tmp_path / "store").glob(f"{kind}/*")]
    assert left == []
    if words[0] == "sweep":
        with Store(f"sqlite:///{tmp_path}/store/mlflow.db", tmp_path / "store" / "mlflow.db").client() as client:
            assert client.search_runs([e.experiment_id for e in client.search_experiments()]) == []


def test_without_slurm_nothing_is_made(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to(shutil.which("git") or "/usr/bin/git")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DUAL_STORE", str(tmp_path / "store"))
    data = ["--preset", "demo", "--shards", str(shards), "data.protocol=all", *DEV]
    for words in (["submit", *data], ["sweep", *data, "--grid", "seeds=0..2"]):
        refused(words, "no sbatch on this machine", capfd)
    refused(["submit", *DEV, "--", "pack", "meld", "/"], "no sbatch on this machine", capfd)
    assert not (tmp_path / "store").exists()


def test_a_dry_run_shows_the_file_and_its_price_and_submits_nothing(
    shards: Path, calls: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--preset", "demo", "--shards", str(shards), "data.protocol=all", *H100, "launch.nodes=2"]
    assert main(["submit", "--dry-run", *words, "launch.hours=10"]) == 0
    shown = capfd.readouterr()
    assert "#SBATCH --nodes=2" in shown.out and "80 GPU-hours" in shown.err
    assert not calls.exists() and not (tmp_path / "store").exists()
