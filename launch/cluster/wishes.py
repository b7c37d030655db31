"""What one request may ask of sbatch besides its size and time: which nodes, memory, reservation, when, mail. Pure."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence

from dual_hpc.config.schema import LaunchConfig
from dual_hpc.errors import UserError
from launch.cluster.profiles import RESERVED_OPTIONS, Profile

_FORMS = {
    "account": r"[\w.@-]+",
    "partition": r"[\w.,-]+",
    "qos": r"[\w.-]+",
    "constraint": r"[\w.@&|()\[\]*,-]+",
    "nodelist": r"[\w.,\[\]-]+",
    "exclude": r"[\w.,\[\]-]+",
    "memory": r"[1-9]\d*[KMGT]?",
    "reservation": r"[\w.,+-]+",
    "begin": r"[\w:.+-]+",
    "mail": r"[\w.+-]+@[\w.-]+",
    "gpu_type": r"[\w.-]+",
}
_EXAMPLES = {
    "nodelist": "n1,n[3-5]",
    "exclude": "n1,n[3-5]",
    "memory": "64G, of one node",
    "begin": "now+2hours or 2026-12-01T20:00:00",
    "mail": "me@lab.org",
    "gpu_type": "a100",
}


_CLUSTERS = frozenset(["cluster", "clusters"])


def check_wishes(request: LaunchConfig, profile: Profile) -> None:
    """Refuse what sbatch would not understand, and what another setting decides.

    Raises:
        UserError: the first error, naming the setting.
    """
    for name, form in _FORMS.items():
        value = getattr(request, name)
        if value is not None and not re.fullmatch(form, value, re.ASCII):
            hint = f"; write it as {_EXAMPLES[name]}" if name in _EXAMPLES else ""
            raise UserError(f"launch.{name}={value!r} is not a valid Slurm value{hint}")
    if request.gpu_type and not profile.has_gpus:
        raise UserError(f"launch.gpu_type={request.gpu_type}: {profile.name} has no GPUs; leave it out")
    if request.gpu_type and profile.gpu_request == "none":
        raise UserError(
            f"launch.gpu_type={request.gpu_type}: {profile.name} gives whole nodes, without being asked for GPUs; "
            "choose them by launch.partition or launch.constraint"
        )
    for where, extra in (("launch.extra", request.extra), (f"extra of the profile {profile.name}", profile.extra)):
        if profile.has_gpus and (option := next((o for o, v in extra.items() if _asks_for_gpus(o, v)), None)):
            raise UserError(f"{where}: {option} is written by the profile, in the form that its `gpu_request` names")
    if not _CLUSTERS.isdisjoint([*request.extra, *profile.extra]):
        raise UserError(
            "launch.extra: clusters: `status` would not know a job of another cluster; export SLURM_CLUSTERS=NAME "
            "instead, wherever you submit, look and stop"
        )
    for option, value in request.extra.items():
        if not re.fullmatch(r"[a-z][a-z-]*", option, re.ASCII):
            raise UserError(f"launch.extra: {option!r} is not a long option of sbatch, as in extra={{exclusive: true}}")
        if option in RESERVED_OPTIONS or option in _OWN_SETTING:
            own = _OWN_SETTING.get(option)
            raise UserError(f"launch.extra: {option} is set by {f'launch.{own}' if own else 'launch.* or the profile'}")
        if isinstance(value, str) and not value.isprintable():
            raise UserError(f"launch.extra: {option} holds characters that sbatch would not take")


def check_notify(request: LaunchConfig) -> None:
    """Refuse a command that could not be started when the run ends.

    Raises:
        UserError: see above.
    """
    if request.notify is None:
        return
    try:
        words = shlex.split(request.notify)
    except ValueError as error:
        raise UserError(f"launch.notify={request.notify!r}: {error}") from error
    if not words or shutil.which(words[0]) is None:
        raise UserError(f"launch.notify={request.notify!r}: there is no program {' '.join(words[:1])!r} here")


_OWN_SETTING = {
    "account": "account",
    "begin": "begin",
    "constraint": "constraint",
    "dependency": "after",
    "exclude": "exclude",
    "gpus-per-node": "gpu_type",
    "mail-type": "mail",
    "mail-user": "mail",
    "mem": "memory",
    "nodelist": "nodelist",
    "nodes": "nodes",
    "partition": "partition",
    "qos": "qos",
    "reservation": "reservation",
    "time": "hours",
}


def gpu_options(request: LaunchConfig, profile: Profile) -> dict[str, str | int]:
    """The option of sbatch that asks for one GPU per rank, in the form of the cluster; empty where there is none."""
    ranks, kind = request.ranks_per_node, f"{request.gpu_type}:" if request.gpu_type else ""
    if not profile.has_gpus or profile.gpu_request == "none":
        return {}
    if profile.gpu_request == "gres":
        others = profile.extra.get("gres"), request.extra.get("gres")
        return {"gres": ",".join([f"gpu:{kind}{ranks}", *(str(one) for one in others if one)])}
    count = {"gpus-per-node": ranks, "gpus": ranks * request.nodes, "gpus-per-task": 1}[profile.gpu_request]
    return {profile.gpu_request: f"{kind}{count}" if kind else count}


def _asks_for_gpus(option: str, value: object) -> bool:
    named = option in ("gpus", "gpus-per-node", "gpus-per-task", "gpus-per-socket")
    return named or (option == "gres" and "gpu" in str(value).split(":"))


def wished_options(request: LaunchConfig, profile: Profile, avoid: Sequence[str] = ()) -> dict[str, object]:
    """Options of sbatch, by their long names; None: not given.

    Args:
        avoid: nodes that failed an earlier job of the run.
    """
    excluded = [*([request.exclude] if request.exclude else []), *avoid]
    per_cpu = f"{profile.memory_per_cpu_mb}MB" if profile.memory_per_cpu_mb and not request.memory else None
    return {
        **gpu_options(request, profile),
        "mem": request.memory,
        "mem-per-cpu": per_cpu,
        "exclude": ",".join(excluded) or None,
        "nodelist": request.nodelist,
        "reservation": request.reservation,
        "begin": request.begin,
        "mail-user": request.mail,
        "mail-type": "END,FAIL,REQUEUE,TIME_LIMIT" if request.mail else None,
    }
