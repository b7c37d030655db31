"""The two recordings of 132 utterances of MELD's test set: diaX_uttY.mp4 and final_videos_testdiaX_uttY.mp4.

What is known: the release's folder of test clips holds 132 files whose names are an annotated row's behind the words
"final_videos_test". No document explains them. Asked about clips without annotation, a maintainer thought them safe to
ignore (declare-lab/MELD, issue 22, 2020), without a word on which twin is right. Users are divided: some projects take
the files for corrected recordings of the rows and use them instead of their plain twins, some even find the plain ones
to be wrong clips; others remove them first. Published results rarely say. 132 of 2,610 are 5 % of the test set.

So the plain ones are packed, as the rows name them, the others on request or where there is no plain one, and the
report says for how many utterances the length of which one is nearer to the annotation's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dual_hpc.errors import UserError
from shards.corpora.media import MediaFiles
from shards.corpora.meld_clips import Clip
from shards.plan import Plan

PLAIN, FINAL = "plain", "final"


def choose_twins(
    plan: Plan, split: str, clips: dict[Clip, MediaFiles], rows: Mapping[Clip, float | None], wanted: str
) -> dict[Clip, MediaFiles]:
    """The files of each clip of a split, twins put in the place of their plain ones if wanted; notes what was ignored.

    Args:
        clips: of the split.
        rows: annotated clips, and the seconds that their annotation says.
        wanted: `plain` or `final`.

    Raises:
        UserError: it is neither.
    """
    if wanted not in (PLAIN, FINAL):
        raise UserError(f"--test-twins: {wanted!r} is not one of {PLAIN}, {FINAL}")
    chosen = {clip: files for clip, files in clips.items() if not clip.is_twin}
    twins = {
        plain: files
        for clip, files in clips.items()
        if clip.is_twin and (plain := Clip(split, clip.dialogue, clip.utterance)) in rows
    }
    extra = sum(clip not in rows for clip in clips)
    others = extra - len(twins)
    if not twins:
        if extra:
            plan.notes.append(f"{extra} clips of {split} have no annotation and are ignored")
        return chosen
    plan.choices["test_twins"] = wanted
    only = [clip.key for clip in twins if clip not in chosen]
    plan.notes.append(
        f"{extra} clips of {split} have no annotation under their own name: {len(twins)} named final_videos_test... "
        f"are twins of annotated rows, {others} others are ignored. Which twin is right is disputed; "
        + _said(wanted, len(twins) - len(only))
        + _compared(twins, chosen, rows)
    )
    if only:
        plan.notes.append(f"{len(only)} rows of {split} have no other clip than a twin, which is packed: {only[0]} ...")
    if wanted != FINAL:
        return {**twins, **chosen}
    blind = [clip.key for clip, files in twins.items() if not files.video and clip in chosen and chosen[clip].video]
    if blind:
        plan.notes.append(f"{len(blind)} twins have no video file although the plain ones have: {blind[0]} ...")
    return {**chosen, **twins}


def _said(wanted: str, count: int) -> str:
    if wanted == FINAL:
        return f"of {count} rows that have both, the twin is packed (--test-twins plain packs the other)"
    return f"of {count} rows that have both, the plain one is packed (--test-twins final packs the twin)"


def _compared(
    twins: Mapping[Clip, MediaFiles], plain: Mapping[Clip, MediaFiles], rows: Mapping[Clip, float | None]
) -> str:
    """For how many rows the length of which clip is nearer to the annotation's, by the files' headers."""
    nearer = {FINAL: 0, PLAIN: 0, "": 0}
    for clip, files in twins.items():
        annotated = rows[clip]
        lengths = [_seconds(one) for one in (files, plain.get(clip)) if one is not None]
        if annotated is None or len(lengths) < 2 or not all(lengths):
            continue
        of_twin, of_plain = (abs(length - annotated) for length in lengths if length)
        nearer["" if abs(of_twin - of_plain) < 0.1 else FINAL if of_twin < of_plain else PLAIN] += 1
    if not any(nearer.values()):
        return ""
    return (
        f". By StartTime and EndTime the twin's length is nearer in {nearer[FINAL]} rows, the plain one's in "
        f"{nearer[PLAIN]}, and both are alike (within 0.1 s) in {nearer['']}"
    )


def _seconds(files: MediaFiles) -> float | None:
    """Length of a clip by its header; None where it cannot be read or does not say."""
    from dual_hpc.data.decoding.container import UnreadableMedia, probe  # libraries that no help needs

    path: Path | None = files.pictures or files.sound
    try:
        return None if path is None else probe(path).duration or None
    except UnreadableMedia:
        return None
