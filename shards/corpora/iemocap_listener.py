"""Who listens while an utterance of IEMOCAP is said: the other half of its pictures, as a sample of its own.

Nobody rated the listener, and the sound is the speaker's: such a sample has pictures alone, and no label.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shards.plan import Plan, Planned

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance

_KEPT = ("corpus", "session", "dialogue", "utterance", "scripted")
_ROLE = "listener"


def listeners_of(plan: Plan) -> list[Planned]:
    """A sample for each utterance with pictures; how many there are is noted in the plan."""
    found = [_listener(planned) for planned in plan.utterances if planned.video is not None]
    plan.notes.append(
        f"the listeners of {len(found)} utterances are samples of their own, without sound, text and label"
    )
    return found


def is_listener(utterance: Utterance) -> bool:
    """True for a sample that `listeners_of` has made."""
    return (utterance.attributes or {}).get("role") == _ROLE


def _listener(said: Planned) -> Planned:
    speaker = said.fields["speaker"]
    woman = speaker.endswith("M")  # a woman and a man talk to each other
    fields = {name: said.fields[name] for name in _KEPT} | {
        "speaker": f"{speaker[:-1]}{'F' if woman else 'M'}",
        "attributes": {"gender": "female" if woman else "male", "role": _ROLE, "listens_to": said.key},
    }
    found = replace(said, key=f"{said.key}_listener", fields=fields, audio=None, text=None)
    return replace(found, actor="other" if said.actor == "named" else "named")
