"""The modalities of an utterance, and what they are called: the one table of it.

A *subset* of modalities is written as letters in the order of the enum, such as "av": in configurations, reports and on
the command line.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum


class Modality(StrEnum):
    """A modality; its value is its name in settings (`use_audio`), reports and feature shards.

    Attributes:
        raw_key: the key of a batch that holds its waveforms, frames or tokens ("A batch" in docs/house.md).
        raw_length_key: how much of `raw_key` each row has: lengths i64 [B], for text a mask i64 [B, L].
    """

    AUDIO = "audio", "waveform", "waveform_lengths"
    VIDEO = "video", "frames", "frame_lengths"
    TEXT = "text", "input_ids", "attention_mask"

    raw_key: str
    raw_length_key: str

    def __new__(cls, value: str, raw_key: str, raw_length_key: str) -> Modality:
        member = str.__new__(cls, value)
        member._value_ = value
        member.raw_key, member.raw_length_key = raw_key, raw_length_key
        return member

    @property
    def letter(self) -> str:
        """ "a", "v" or "t"."""
        return self[0]

    @property
    def feature_key(self) -> str:
        """The key of a batch that holds its features."""
        return str(self)

    @property
    def feature_length_key(self) -> str:
        """The key of the features' lengths, i64 [B]."""
        return f"{self}_lengths"

    @property
    def made_with(self) -> tuple[str, ...]:
        """Those keys of the preprocessing (`EmotionConfig`) that its encoders' inputs depend on."""
        own = {"video": ("image_size", "video_hz"), "text": ("max_tokens",)}
        return "sample_rate", "max_seconds", *own.get(self, ())

    @property
    def keys(self) -> tuple[str, ...]:
        """All keys of a batch that carry it; a batch has those of media or those of features."""
        return self.raw_key, self.raw_length_key, self.feature_key, self.feature_length_key

    @property
    def length_keys(self) -> tuple[str, ...]:
        """Those of `keys` that say how much of it each row has."""
        return self.raw_length_key, self.feature_length_key

    @classmethod
    def from_letter(cls, letter: str) -> Modality:
        """The modality of a letter.

        Raises:
            ValueError: not one of a, v, t.
        """
        for modality in cls:
            if modality.letter == letter:
                return modality
        raise ValueError(f"{letter!r} is not a valid modality; use one of {', '.join(m.letter for m in cls)}")


def parse_subset(letters: Collection[str]) -> tuple[Modality, ...]:
    """The modalities of a subset such as "av", in the order of the enum.

    Raises:
        ValueError: a letter that is not one of a, v, t.
    """
    chosen = {Modality.from_letter(letter) for letter in letters}
    return tuple(modality for modality in Modality if modality in chosen)


def format_subset(modalities: Iterable[Modality]) -> str:
    """The letters of a subset in the order of the enum; the inverse of `parse_subset`."""
    chosen = set(modalities)
    return "".join(modality.letter for modality in Modality if modality in chosen)


ALL_MODALITIES = format_subset(Modality)  # "avt"
ALL_SUBSETS = ("a", "v", "t", "av", "at", "vt", "avt")
