"""What the releases' own papers and files count, to compare a packed corpus with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from dual_hpc.data.format.sample import Utterance

_MELD_ORDER = ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger")
_IEMOCAP = {
    **{f"session {i}": n for i, n in enumerate((1819, 1811, 2136, 2103, 2170), 1)},
    **{
        f"label {label}": n
        for label, n in {
            **{"ang": 1103, "dis": 2, "exc": 1041, "fea": 40, "fru": 1849, "hap": 595, "neu": 1708, "oth": 3},
            **{"sad": 1084, "sur": 107, "xxx": 2507},
        }.items()
    },
}
_MELD = {
    f"{split} {label}": n
    for split, counts in {
        "train": (4710, 1205, 268, 683, 1743, 271, 1109),
        "dev": (470, 150, 40, 111, 163, 22, 153),
        "test": (1256, 281, 50, 208, 402, 68, 345),
    }.items()
    for label, n in zip(_MELD_ORDER, counts, strict=True)
}
COUNTS: Mapping[str, Mapping[str, int]] = {"iemocap": _IEMOCAP, "meld": _MELD}


def groups(corpus: str, utterances: Iterable[Utterance]) -> dict[str, int]:
    """Counts in the groups in which the corpus publishes its own; by split and label for any other."""
    found: Counter[str] = Counter()
    for utterance in utterances:
        if corpus == "iemocap":
            found[f"session {utterance.session}"] += 1
            found[f"label {utterance.label}"] += 1
        else:
            found[f"{utterance.split or 'no split'} {utterance.label or 'no label'}"] += 1
    return dict(sorted(found.items()))


def differences(corpus: str, found: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Group -> (published, found) where they differ; empty for corpora that publish nothing we know."""
    published = COUNTS.get(corpus, {})
    return {
        group: (published.get(group, 0), found.get(group, 0))
        for group in (*published, *(g for g in found if g not in published))
        if published and published.get(group, 0) != found.get(group, 0)
    }
