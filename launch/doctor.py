"""What this machine offers and what is missing, each finding with its remedy. Checks never raise."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import dual_hpc
from dual_hpc.errors import EnvironmentFault, one_line
from dual_hpc.files.ownership import first_risk, risk
from dual_hpc.files.real_path import real_path
from dual_hpc.plugins import OWN
from dual_hpc.run import names

State = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Finding:
    """One line of the table.

    Attributes:
        state: "missing" fails `dual-hpc doctor`; "note" is optional and absent, or worth knowing.
        remedy: what to do; empty when nothing needs to be done.
    """

    what: str
    state: State
    found: str
    remedy: str = ""


def run_checks(store: Path, profile: str | None = None) -> Iterator[Finding]:
    """Run all checks; yields each finding as soon as it is known (importing torch and DeepSpeed takes seconds).

    Args:
        profile: the cluster whose GPUs torch must have code for; None: all are told.
    """
    for what, check in (
        ("python", python),
        ("own packages", own_packages),
        ("torch", torch),
        ("device", device),
        ("GPUs of clusters", lambda: gpu_of_profiles(profile)),
        ("DeepSpeed", deepspeed),
        ("transformers", transformers),
        ("video encoding and decoding", video),
        ("audio", audio),
        ("MLflow", mlflow),
        ("Slurm", slurm),
        ("cluster profiles", profiles),
        ("store", lambda: writable(store)),
        ("who may write the store", lambda: private(store)),
        ("free space and inodes", lambda: space(store)),
    ):
        try:
            finding = check()
        except Exception as error:
            message = one_line(error, 160)
            finding = Finding(what, "missing", f"{type(error).__name__}: {message}", "run `make setup` again")
        yield Finding(what, finding.state, finding.found, finding.remedy)


def python() -> Finding:
    return Finding("", "ok", f"{platform.python_version()} in {sys.prefix}")


def own_packages() -> Finding:
    """`launch`, `shards` and `slurm` are common names: those that are imported must belong to this installation."""
    root = Path(dual_hpc.__file__).resolve().parents[1]
    found = {name: folder_of_package(name) for name in OWN}
    wrong = {name: folder for name, folder in found.items() if folder != root / name}
    if wrong:
        listed = ", ".join(f"{name} is imported from {folder}" for name, folder in wrong.items())
        remedy = f"install dual-hpc in a virtual environment of its own, without PYTHONPATH; expected below {root}"
        return Finding("", "missing", listed, remedy)
    return Finding("", "ok", f"{dual_hpc.__version__}, {', '.join(OWN)} in {root}")


def folder_of_package(name: str) -> Path | None:
    """The folder that `import name` loads; None if there is none."""
    spec = importlib.util.find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return real_path(places[0]) if places else None


def torch() -> Finding:
    import torch

    release = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if release < (2, 11):
        return Finding("", "missing", torch.__version__, "install torch 2.11 to 2.13")
    cuda = torch.version.cuda
    build = f"CUDA {cuda} ({' '.join(architectures())})" if cuda else "the CPU"
    gloo = "yes" if torch.distributed.is_gloo_available() else "no"
    return Finding("", "ok", f"{torch.__version__}, for {build}, gloo {gloo}")


def architectures() -> list[str]:
    """What the installed torch holds code for, as "sm_90", also where there is no GPU; empty of a build for the CPU."""
    import torch

    flags = getattr(torch._C, "_cuda_getArchFlags", lambda: None)() if torch.version.cuda else None
    return torch.cuda.get_arch_list() or (flags or "").split()


def device() -> Finding:
    """The GPU, its driver, and whether this build of torch is for them."""
    import torch

    from launch.cluster.gpu_facts import gpu_facts
    from launch.cluster.torch_build import build_for, installation_fault

    facts = gpu_facts()
    about = installation_fault(
        torch.__version__, torch.version.cuda, architectures(), facts.name, facts.architecture, facts.driver
    )
    word = build_for(facts.driver, facts.architecture)
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        found = f"{len(names)} x {names[0]}, {facts.architecture or 'sm_?'}, driver {facts.driver or 'not known'}"
        if about is None:
            product = float((torch.ones(64, 64, device="cuda") @ torch.ones(64, 64, device="cuda")).sum())
            about = None if product == 64.0**3 else "the GPU gives wrong results: use another one"
        return Finding("", "missing" if about else "ok", f"{found}; its build of torch: TORCH={word}", about or "")
    if facts.count and os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return Finding("", "note", f"{facts.count} GPU(s), hidden by CUDA_VISIBLE_DEVICES", "training runs on the CPU")
    if facts.count:
        about = about or _why_not_available()
        found = f"{facts.count} GPU(s) that torch cannot use: {about}"
        return Finding("", "missing", found, f"make setup TORCH={word}" if word else "a newer driver")
    return Finding("", "note", f"no CUDA device; {len(os.sched_getaffinity(0))} cores", "training runs on the CPU")


def _why_not_available() -> str:
    import torch

    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return one_line(error, 200)
    return f"CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES')}"


def gpu_of_profiles(name: str | None) -> Finding:
    """Whether the installed torch, which jobs use, holds code for the GPUs of a cluster, without a name of each one."""
    from launch.cluster.profiles import load_profile, profile_names
    from launch.cluster.torch_build import build_for, has_code

    here, fit, lacking = architectures(), [], []
    for profile in [load_profile(one) for one in ([name] if name else profile_names())]:
        wanted = profile.gpu_architecture
        if wanted is None:
            continue
        if has_code(here, wanted):
            fit.append(f"{profile.name} ({wanted})")
        else:
            lacking.append(f"{profile.name} ({wanted}): make setup TORCH={build_for(None, wanted)}")
    if not fit and not lacking:
        return Finding("", "ok", "no profile names one" if name is None else f"{name} names none (gpu_architecture)")
    found = f"this torch runs on {', '.join(fit)}" if fit else "this torch runs on none of them"
    state: State = ("missing" if name else "note") if lacking else "ok"
    return Finding("", state, found, "\n".join(lacking))


def deepspeed() -> Finding:
    os.environ.setdefault("DS_ACCELERATOR", "cpu" if not _has_cuda() else "cuda")
    import deepspeed
    from deepspeed.ops.op_builder import CPUAdamBuilder

    compiler = shutil.which("g++") is not None and shutil.which("ninja", path=_tool_path()) is not None
    ops = "ops compile on demand" if compiler and CPUAdamBuilder().is_compatible() else "no compiled ops"
    # Training uses torch's AdamW and compiles nothing, so a missing compiler is worth a note only.
    return Finding(
        "", "ok" if compiler else "note", f"{deepspeed.__version__}, {ops}", "" if compiler else "optional: g++"
    )


def transformers() -> Finding:
    importlib.import_module("dual_hpc.model.torchaudio_stub").install()
    importlib.import_module("transformers.models.wav2vec2.modeling_wav2vec2")
    return Finding("", "ok", importlib.metadata.version("transformers"))


def video() -> Finding:
    """Encode ten frames and read them back, with the decoder of packing and the one of training."""
    import av
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        with av.open(str(clip), "w") as out:
            stream = out.add_stream("libx264", rate=10)
            stream.width = stream.height = 64
            stream.pix_fmt = "yuv420p"
            for number in range(10):
                picture = np.full((64, 64, 3), 20 * number, np.uint8)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            out.mux(stream.encode(None))
        with av.open(str(clip)) as source:
            count = sum(1 for _ in source.decode(video=0))
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    found = f"PyAV {av.__version__} (libavcodec {codec}) {count}/10 frames"
    if count != 10:
        return Finding("", "missing", found, "install av from its wheel (`make setup`)")
    return Finding("", "ok", f"H.264: {found}")


def audio() -> Finding:
    import io

    import numpy as np
    import soundfile

    file = io.BytesIO()
    wave = np.sin(np.arange(1600) / 10).astype("float32") / 2
    soundfile.write(file, wave, 16_000, format="FLAC")
    file.seek(0)
    back, _ = soundfile.read(file, dtype="float32")
    if np.abs(back - wave).max() > 1e-3:
        return Finding("", "missing", "FLAC changes the samples", "install soundfile from a wheel (`make setup`)")
    return Finding("", "ok", f"FLAC through soundfile {soundfile.__version__}")


def mlflow() -> Finding:
    return Finding("", "ok", importlib.metadata.version("mlflow"))


def slurm() -> Finding:
    if shutil.which("sbatch") is None:
        return Finding(
            "",
            "note",
            "no sbatch",
            "jobs run here with the profile local; slurm/devcluster/up starts a Slurm on this machine",
        )
    from launch.cluster.client import call
    from launch.cluster.slurm import MARK

    try:
        answer = call(["sinfo", "--noheader", f"--format={MARK}|%P|%D"], patience=0)
    except EnvironmentFault as error:
        remedy = "check that slurmctld runs and that SLURM_CONF names its configuration"
        return Finding("", "note", str(error)[:160], remedy)
    account = shutil.which("sacct") is not None
    rows = (line.split("|") for line in answer.splitlines() if line.startswith(f"{MARK}|"))
    partitions = ", ".join(f"{name} ({nodes})" for _, name, nodes, *_ in rows)
    return Finding("", "ok", f"partitions (nodes): {partitions}; sacct {'yes' if account else 'no'}")


def profiles() -> Finding:
    from launch.cluster.profiles import load_profile, profile_names

    found = [f"{name}: {load_profile(name).description}" for name in profile_names()]
    return Finding("", "ok" if found else "missing", "\n".join(found), "" if found else "install dual-hpc again")


def writable(store: Path) -> Finding:
    """Write, flush and rename a file, as checkpoints do; a store that does not exist is not made."""
    remedy = "set DUAL_STORE to a folder you can write"
    absolute = store.absolute()
    if astray := [path for path in (absolute, *absolute.parents) if path.is_symlink() and not path.exists()]:
        return Finding("", "missing", f"{astray[-1]} is a link that leads nowhere", remedy)
    place = _nearest(store)
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".doctor-") as folder:
            file = Path(folder) / "a"
            with open(file, "w") as out:
                out.write("x")
                out.flush()
                os.fsync(out.fileno())
            file.rename(file.with_name("b"))
    except OSError as error:
        return Finding("", "missing", f"{store}: {error.strerror}", remedy)
    return Finding("", "ok", str(real_path(store)) if place == real_path(store) else f"{real_path(store)} can be made")


def private(store: Path) -> Finding:
    """Others who may write a store can make its user run code: what to take from them, and what they may keep."""
    if not store.exists():
        return Finding("", "ok", "it is not there yet")
    store = real_path(store)
    folders = [path for kind in ("runs", "sweeps", "jobs") for path in sorted(store.glob(f"{kind}/*")) if path.is_dir()]
    shared = [path for path in (store, store / "runs", store / "sweeps", store / "jobs") if risk(path) is not None]
    open_to_all = [path for path in shared if risk(path, is_shared=True) is not None]
    risky = [(path, found) for path in folders if (found := first_risk(path, names.EXECUTED, levels=0))]
    if open_to_all:
        reason = risk(open_to_all[0], is_shared=True)
        remedy = f"chmod o-w {open_to_all[0]}, or set DUAL_STORE to a folder of your own"
        return Finding("", "missing", f"{open_to_all[0]} {reason}: others can exchange your runs", remedy)
    if risky:
        path, reason = risky[0][1]
        more = f" (and {len(risky) - 1} more)" if len(risky) > 1 else ""
        remedy = "resume, submit and sweep run nothing from there without --trust; for your own: chmod -R go-w"
        return Finding("", "note", f"{path} {reason}{more}", remedy)
    if shared:
        remedy = "without the sticky bit (chmod +t) they can exchange your runs: share it with those whom you trust"
        return Finding("", "note", f"{shared[0]} {risk(shared[0])}", remedy)
    return Finding("", "ok", "nobody else")


def space(store: Path) -> Finding:
    place = _nearest(store)
    usage = os.statvfs(place)
    gigabytes, inodes = usage.f_bavail * usage.f_frsize / 1e9, usage.f_favail
    found = f"{gigabytes:,.0f} GB, {inodes:,} inodes" if usage.f_files else f"{gigabytes:,.0f} GB"
    if gigabytes < 2 or (usage.f_files and inodes < 5_000):
        return Finding("", "missing", found, f"free space under {place}, or set DUAL_STORE to another file system")
    return Finding("", "ok", found)


def _nearest(store: Path) -> Path:
    """The store, or the nearest folder above it that exists."""
    return next(folder for folder in [real_path(store), *real_path(store).parents] if folder.exists())


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _tool_path() -> str:
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
