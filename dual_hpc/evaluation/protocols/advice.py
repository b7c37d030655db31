"""What a set of utterances leaves open, and the settings that answer it: for `pack` and `config init`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dual_hpc.evaluation.protocols.split import part_named
from dual_hpc.modality import Modality

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance

UNKNOWN = "unknown"  # the speaker of a row that names none
SHARES = [0.7, 0.15, 0.15]
_ENOUGH = 3  # groups, for three parts


def advice(utterances: Sequence[Utterance]) -> list[str]:
    """Sentences about a corpus of any kind that is trained under the protocol `all`; [] where nothing is open."""
    return [
        *split_advice(utterances),
        *speaker_advice(utterances),
        *map(absent_sentence, absent_modalities(utterances)),
    ]


def speaker_advice(utterances: Sequence[Utterance]) -> list[str]:
    """What a division cannot do that nobody has made yet, where a speaker is not known."""
    from dual_hpc.data.format.utterances import coded

    codes, speakers = coded(utterances, "speaker")
    if UNKNOWN not in speakers or not undecided_count(utterances):
        return []
    count = int((codes == speakers.index(UNKNOWN)).sum())
    which = "no sample names its speaker" if count == len(utterances) else f"{count} samples name no speaker"
    return [
        f"{which}: one may be in training and test, which scores better than new speakers will; add a column speaker"
    ]


def split_advice(utterances: Sequence[Utterance]) -> list[str]:
    """What says whether an utterance trains or tests, where the corpus does not say it of each."""
    from dual_hpc.data.format.utterances import coded

    splits, values = coded(utterances, "split")
    unknown = [number for number, split in enumerate(values) if split is not None and part_named(split) is None]
    lines = [
        f"{int((splits == number).sum())} samples have the split {values[number]!r}, which is not one of train, dev "
        f"and test: write one of those, or set {split_setting(utterances)}"
        for number in unknown
    ]
    if undecided := undecided_count(utterances):
        which = "no sample has" if undecided == len(utterances) else f"{undecided} samples have neither"
        lines.append(f"{which} a split or a session: to train on them set {split_setting(utterances)}")
    return lines


def undecided_count(utterances: Sequence[Utterance]) -> int:
    """Labelled utterances without a split and without a session."""
    from dual_hpc.data.format.utterances import coded

    lacks = True
    for field in ("split", "session"):
        codes, values = coded(utterances, field)
        lacks = lacks & (codes == (values.index(None) if None in values else -1))
    codes, values = coded(utterances, "label")
    return int((lacks & (codes != (values.index(None) if None in values else -1))).sum())


def split_column(utterances: Sequence[Utterance]) -> str:
    """The column by which a corpus is best divided: what keeps speakers apart, if all are known."""
    from dual_hpc.data.format.utterances import coded

    speakers = coded(utterances, "speaker")[1]
    if len(speakers) >= _ENOUGH and UNKNOWN not in speakers:
        return "speaker"
    return "dialogue" if len(coded(utterances, "dialogue")[1]) >= _ENOUGH else "utterance"


def split_setting(utterances: Sequence[Utterance]) -> str:
    """`data.split` as it is written on the command line."""
    return f"data.split={{{split_column(utterances)}: {SHARES}}}"


def absent_modalities(utterances: Sequence[Utterance]) -> list[Modality]:
    """Those that no utterance has."""
    from dual_hpc.data.format.utterances import coded

    return [modality for modality in Modality if not any(coded(utterances, f"has_{modality}")[1])]


def absent_sentence(modality: Modality) -> str:
    """What to do about a modality that a data set does not have."""
    return f"no sample has {modality}: set model.use_{modality}=false"
