"""What one utterance is, in the shards and in the index (contract 1).

The metadata keep what the corpus says, untouched: which label counts, which split a sample belongs to and which fold
is held out are decided when shards are read (`dual_hpc.evaluation.protocols`), so one set of shards serves every
protocol.
"""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict, Field

from dual_hpc.data.format.members import AUDIO, AUDIO_RATE, FEATURES, META, TEXT, VIDEO  # noqa: F401 - part of the schema

# webdataset splits a member's name at its first dot, and tar members must stay inside the folder they are
# unpacked in: a key is a plain name.
LONGEST_KEY = 128
_KEY = re.compile(rf"^[A-Za-z0-9][A-Za-z0-9_-]{{0,{LONGEST_KEY - 1}}}$")


def is_valid_key(key: str) -> bool:
    """True for names that are safe as tar members and that webdataset reads as one key."""
    return bool(_KEY.fullmatch(key))


class Vote(BaseModel):
    """What one rater answered of one utterance."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rater: str
    labels: tuple[str, ...] = Field((), description="chosen labels, as the corpus spells that of the utterance")
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None
    own: bool = Field(False, description="the actor's answer about himself")


class Utterance(BaseModel):
    """Metadata of one sample: `<key>.json` in the tar, and `meta` of the same sample in the index."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(pattern=_KEY.pattern)
    corpus: str
    split: str | None = Field(None, description="the corpus's own split (MELD: train, dev, test)")
    session: int | None = Field(None, description="IEMOCAP 1-5")
    season: int | None = None
    episode: int | None = None
    dialogue: str
    utterance: int
    speaker: str
    label: str | None = Field(None, description="the corpus's label in its own spelling, lower case")
    raw_label: str | None = None
    valence: float | None = None
    arousal: float | None = None
    dominance: float | None = None
    votes: tuple[Vote, ...] | None = Field(None, description="of each rater, where the corpus tells them")
    scripted: bool | None = None
    attributes: dict[str, str] | None = Field(
        None, description="what else the corpus says, by name: gender, age, sentiment, intensity ..."
    )
    duration: float = Field(gt=0, allow_inf_nan=False, description="seconds of media in the shard")
    fps: float | None = Field(None, description="frames per second of the packed video")
    clipped: int | None = Field(
        None, ge=0, description="audio samples beyond full scale that were clipped; None: no audio, or not counted then"
    )
    has_audio: bool = True
    has_video: bool = True
    has_text: bool = True
    sources: dict[str, str] = Field(default_factory=dict, description="source files, relative to the corpus")
    options: dict[str, str] = Field(default_factory=dict, description="packing choices: crop side, audio channel ...")
