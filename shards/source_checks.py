"""What of an utterance's source files does not fit together; told in the sample's options, never repaired.

The files are given by their headers, and `stored` is the seconds of each modality that were packed.
"""

from __future__ import annotations

from pathlib import Path

from dual_hpc.data.decoding.container import MediaInfo
from shards.plan import Planned

DIFFERENT = 1.0  # seconds by which lengths that should be equal may differ before it is said
_TOLERANCE = 0.5  # seconds by which headers may be wrong

Infos = dict[Path, MediaInfo]
Stored = dict[str, float]  # modality -> seconds


def unnamed(planned: Planned, infos: Infos, stored: Stored) -> dict[str, str]:
    """Sound or pictures that a source holds and no one asked for, or that one was named for and does not hold."""
    found = {}
    for kind, other in (("audio", planned.video), ("video", planned.audio)):
        source = getattr(planned, kind)
        if source is None and other is not None and getattr(infos[other.path], kind) is not None:
            found[f"unused_{kind}"] = "true"
        elif source is not None and kind not in stored and source.path != (other.path if other else None):
            found[f"no_{kind}_in_source"] = "true"
    return found


def may_be_cut(planned: Planned, infos: Infos, stored: Stored, max_seconds: float) -> bool:
    """True where a whole file fills the longest length and its header, if it says anything, says less."""
    sources = {kind: getattr(planned, kind) for kind in stored}
    return any(
        source.end is None
        and stored[kind] >= max_seconds - _TOLERANCE
        and infos[source.path].duration - (source.start or 0.0) < max_seconds - _TOLERANCE
        for kind, source in sources.items()
    )


def unread(planned: Planned, infos: Infos, stored: Stored, max_seconds: float) -> dict[str, str]:
    """How much less of whole files was read than their headers promise, as of a file that lost its end."""
    for path, info in infos.items():
        held = [kind for kind in ("audio", "video") if getattr(info, kind) is not None]
        sources = [getattr(planned, kind) for kind in held]
        if any(s is None or s.path != path or s.start is not None or s.end is not None for s in sources):
            continue  # the rest may be in what nobody asked for
        read = max((stored.get(kind, 0.0) for kind in held), default=0.0)
        if min(info.duration, max_seconds) - read > DIFFERENT:
            return {"header_seconds": f"{info.duration:.3f}"}
    return {}


def different_lengths(planned: Planned, infos: Infos, stored: Stored) -> dict[str, str]:
    """Lengths that differ although they should not: of a file and its annotation, of the sound and its pictures."""
    found: dict[str, str] = {}
    annotated = planned.annotated_seconds
    if annotated is not None:
        there = [info.duration for info in infos.values() if info.duration] or list(stored.values())
        farthest = max(there, key=lambda seconds: abs(seconds - annotated))
        if abs(farthest - annotated) > DIFFERENT:
            found |= {"annotated_seconds": f"{annotated:.3f}", "source_seconds": f"{farthest:.3f}"}
    if len(stored) == 2 and abs(stored["audio"] - stored["video"]) > DIFFERENT:
        found |= {f"{kind}_seconds": f"{seconds:.3f}" for kind, seconds in stored.items()}
    return found
