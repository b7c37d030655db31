"""Check a request against the cluster's profile, before anything is submitted. Pure."""

from __future__ import annotations

from dual_hpc.config.schema import LaunchConfig, RunConfig
from dual_hpc.errors import UserError
from launch.cluster.profiles import Limits, Profile
from launch.cluster.wishes import check_notify, check_wishes


def resolve_choice(requested: str | None, offered: dict[str, Limits], setting: str, cluster: str) -> str | None:
    """The partition or QoS of a job: the requested one, else the profile's first, else Slurm's default (None)."""
    if requested is None:
        return next(iter(offered), None)
    if offered and requested not in offered:
        raise UserError(f"{setting}={requested}: {cluster} offers {', '.join(offered)}")
    return requested


def cpus_per_rank(request: LaunchConfig, profile: Profile) -> int:
    """Cores of one rank: the requested number, else those that come with its GPU, else its share of the node."""
    share = profile.cpus_per_gpu or max(1, profile.cpus_per_node // request.ranks_per_node)
    return request.cpus_per_rank or share


def check(request: LaunchConfig, profile: Profile) -> None:
    """Refuse a request that the cluster would refuse, or would run differently than intended.

    Raises:
        UserError: the first error, naming the setting to change.
    """
    check_notify(request)
    if profile.executor == "local":
        if request.nodes > 1:
            raise UserError(f"launch.nodes={request.nodes}: {profile.name} is one machine; set launch.nodes=1")
        for setting in ("after", "begin"):
            if getattr(request, setting):
                raise UserError(f"launch.{setting}: {profile.name} has no queue; choose another launch.profile")
        return
    check_wishes(request, profile)
    _check_size(request, profile)
    _check_limits(request, profile)
    _check_account(request, profile)
    if request.constraint and profile.constraint and request.constraint != profile.constraint:
        raise UserError(
            f"launch.constraint={request.constraint}: {profile.name} is for {profile.constraint}; "
            "leave it out or choose another launch.profile"
        )


def check_precision(config: RunConfig, profile: Profile) -> None:
    """Refuse a precision that the cluster's GPUs emulate slowly.

    Raises:
        UserError: see above.
    """
    if config.training.precision == "bf16" and profile.has_gpus and not profile.bf16:
        raise UserError(
            f"training.precision=bf16: the GPUs of {profile.name} have no bfloat16; set training.precision=fp16 or fp32"
        )


def check_array(members: int, request: LaunchConfig, profile: Profile) -> None:
    """Refuse more members of a job array than the cluster or its limits per user allow.

    Raises:
        UserError: see above.
    """
    if profile.executor == "slurm" and members > profile.max_array:
        raise UserError(
            f"{members} members: a job array of {profile.name} has {profile.max_array} at most (max_array of the "
            "profile); submit fewer at a time"
        )
    for setting, requested, offered in _offers(request, profile):
        name = resolve_choice(requested, offered, setting, profile.name)
        most = offered.get(name or "", Limits()).jobs
        if most is not None and members > most:
            wider = next((n for n, other in offered.items() if other.jobs is None or members <= other.jobs), None)
            remedy = f", or set {setting}={wider}" if wider else ""
            raise UserError(f"{members} jobs: {name} allows {most} jobs of one user at once; submit fewer{remedy}")


def cost_estimate(request: LaunchConfig, profile: Profile, jobs: int = 1, continuations: int = 0) -> str:
    """The largest possible cost of `jobs` jobs, as text.

    Args:
        continuations: how often each may be continued at its time limit.
    """
    ranks = request.nodes * request.ranks_per_node * jobs
    amount = ranks if profile.has_gpus else ranks * cpus_per_rank(request, profile)
    unit = "GPU-hours" if profile.has_gpus else "core-hours"
    price = f"at most {amount * request.hours:g} {unit}{'' if profile.has_gpus else ', no GPU'}"
    if not continuations:
        return price
    return f"{price}; with all {continuations} continuations {amount * request.hours * (1 + continuations):g}"


def _check_size(request: LaunchConfig, profile: Profile) -> None:
    if profile.max_nodes and request.nodes > profile.max_nodes:
        raise UserError(f"launch.nodes={request.nodes}: {profile.name} has {profile.max_nodes}")
    if profile.has_gpus and request.ranks_per_node > profile.gpus_per_node:
        raise UserError(
            f"launch.ranks_per_node={request.ranks_per_node}: a node of {profile.name} has {profile.gpus_per_node} "
            "GPUs; ask for more launch.nodes instead"
        )
    cpus = cpus_per_rank(request, profile)
    cores = cpus * request.ranks_per_node
    if cores > profile.cpus_per_node:
        raise UserError(
            f"launch.cpus_per_rank={cpus}: {request.ranks_per_node} ranks would need {cores} cores, "
            f"a node of {profile.name} has {profile.cpus_per_node}"
        )
    if profile.has_gpus and profile.cpus_per_gpu and cpus > profile.cpus_per_gpu:
        raise UserError(
            f"launch.cpus_per_rank={cpus}: {profile.name} gives {profile.cpus_per_gpu} cores with a GPU and charges "
            "more as further GPUs; leave it out"
        )


def _check_limits(request: LaunchConfig, profile: Profile) -> None:
    seconds = request.hours * 3600
    if seconds <= profile.signal_seconds:
        raise UserError(
            f"launch.hours={request.hours:g}: shorter than the {profile.signal_seconds} s that {profile.name} "
            "reserves for the last checkpoint"
        )
    gpus = request.nodes * request.ranks_per_node if profile.has_gpus else 0
    for setting, requested, offered in _offers(request, profile):
        name = resolve_choice(requested, offered, setting, profile.name)
        limits = offered.get(name or "", Limits())
        wider = [n for n, other in offered.items() if n != name and _fits(request, gpus, other)]
        remedy = f"or set {setting}={wider[0]}" if wider else f"no other {setting.split('.')[1]} allows more"
        for key, wanted, allowed in (
            ("launch.hours", request.hours, limits.hours),
            ("launch.nodes (GPUs)", gpus, limits.gpus),
            ("launch.nodes", request.nodes, limits.nodes),
        ):
            if allowed is not None and wanted > allowed:
                raise UserError(f"{key}={wanted:g}: {name} allows {allowed:g}; ask for less, {remedy}")


def _offers(request: LaunchConfig, profile: Profile) -> list[tuple[str, str | None, dict[str, Limits]]]:
    """What has limits: the setting, the requested value, the available ones."""
    return [
        ("launch.partition", request.partition, profile.partitions),
        ("launch.qos", request.qos, profile.qos),
    ]


def _fits(request: LaunchConfig, gpus: int, limits: Limits) -> bool:
    return (
        (limits.hours is None or request.hours <= limits.hours)
        and (limits.gpus is None or gpus <= limits.gpus)
        and (limits.nodes is None or request.nodes <= limits.nodes)
    )


def _check_account(request: LaunchConfig, profile: Profile) -> None:
    suffix = profile.account_suffix
    if request.account is None:
        if profile.account_required:
            raise UserError(f"launch.account: {profile.name} needs one, such as PROJECT{suffix or ''}")
        return
    if suffix and "@" in request.account and not request.account.endswith(suffix):
        raise UserError(f"launch.account={request.account}: {profile.name} needs an account that ends in {suffix}")
    if request.account.startswith("@"):
        raise UserError(f"launch.account={request.account}: write your project before the @")
    if suffix and "@" not in request.account:
        raise UserError(f"launch.account={request.account}: write {request.account}{suffix} on {profile.name}")
