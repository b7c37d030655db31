"""A small release of every corpus that can be packed, and a skeleton of the whole of each that publishes counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shards.corpora.clip_table import CH_SIMS, CH_SIMS2, CMU_MOSEI
from shards.corpora.fold_lists import DFEW, MAFW
from shards.synthetic.named import cremad_names, mead_names, ravdess_names, savee_names, write_release
from shards.synthetic.tables import write_clip_table, write_fold_lists, write_msp_improv
from tests.unit.shards.conftest import write_iemocap, write_meld

PUBLISHED = Path(__file__).parent / "published"
Put = Callable[[str, Path], Path]
FEW = {"train": 12, "dev": 6, "test": 6}
TURNS = {"angry": 792, "happy": 2644, "sad": 885, "neutral": 3477, "other": 85, "no agreement": 555}
_TESS_EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
_CLIPS = {one.name: one for one in (CMU_MOSEI, CH_SIMS, CH_SIMS2)}
_LISTS = {one.name: one for one in (DFEW, MAFW)}


def emodb_names() -> list[str]:
    """Paths of the 535 recordings of EmoDB."""
    return [f"wav/{name}.wav" for name in (PUBLISHED / "emodb.txt").read_text().split()]


def tess_names() -> list[str]:
    """Paths of the 2,800 recordings of TESS, one of which is named otherwise."""
    words = (PUBLISHED / "tess_words.txt").read_text().split()
    names = [f"{who}_{word}_{what}" for who in ("OAF", "YAF") for word in words for what in _TESS_EMOTIONS]
    return [f"OAF_YAF/{'OA_bite_neutral' if name == 'OAF_bite_neutral' else name}.wav" for name in names]


NAMES: dict[str, Callable[[], list[str]]] = {
    "cremad": cremad_names,
    "ravdess": ravdess_names,
    "savee": savee_names,
    "emodb": emodb_names,
    "tess": tess_names,
}
UTTERANCES = {  # of the whole releases
    **{"iemocap": 10_039, "meld": 13_708, "msp_improv": 8_438},
    **{"cremad": 7_442, "ravdess": 1_440, "savee": 480, "emodb": 535, "tess": 2_800},
    **{"cmu_mosei": 22_856, "ch_sims": 2_281, "ch_sims2": 4_403, "dfew": 11_697, "mafw": 9_172},
}
NOT_COUNTED = ("manifest", "mead", "msp_podcast")  # a user's own; published in parts; another count with each version


@dataclass(frozen=True)
class Release:
    """What `small` wrote.

    Attributes:
        source: what `pack` is given.
        labels: the file that has them; None: the names of recordings have them.
        recording: one that is packed.
    """

    source: Path
    labels: Path | None
    recording: Path


def small(name: str, folder: Path, put: Put) -> Release:
    """A release of a few utterances, in the new folder `folder`."""
    if name == "iemocap":
        write_iemocap(folder, put)
        session, dialogue = folder / "Session1", "Ses01F_impro01"
        evaluation = session / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"
        return Release(folder, evaluation, session / "sentences" / "wav" / dialogue / f"{dialogue}_F000.wav")
    if name == "meld":
        write_meld(folder, put)
        return Release(folder, folder / "train_sent_emo.csv", folder / "train" / "train_splits" / "dia0_utt0.mp4")
    folder.mkdir()
    if name == "manifest":
        lines = [f"u{n},u{n}.wav,{('sad', 'joy')[n % 2]},s{n % 3},well yes" for n in range(6)]
        write_release(folder, [f"u{n}.wav" for n in range(6)], b"RIFF")
        (folder / "mine.csv").write_text("\n".join(["id,audio,label,speaker,text", *lines]) + "\n")
        return Release(folder / "mine.csv", folder / "mine.csv", folder / "u0.wav")
    if name in _CLIPS:
        write_clip_table(folder, _CLIPS[name], FEW, b"x")
        return Release(folder, folder / "label.csv", folder / "Raw" / "-train_0000" / "0001.mp4")
    if name in _LISTS:
        corpus = _LISTS[name]
        write_fold_lists(folder, corpus, [[0, *[1] * 5, *[0] * (len(corpus.labels) - 6)]] * 5, b"x")
        return Release(folder, folder / corpus.test_list.format(fold=1), folder / "data" / "clips" / "00001.mp4")
    if name == "msp_improv":
        write_msp_improv(folder, dict.fromkeys(TURNS, 8), b"x")
        return Release(
            folder, folder / "Evalution.txt", next((folder / "Audio").rglob("MSP-IMPROV-S01A-F01-P-FM00.wav"))
        )
    if name == "msp_podcast":
        from tests.unit.shards.corpora.test_msp_podcast import release, rows

        release(folder, rows())
        recording = folder / "Audios" / rows()[0].split(",")[0]
        return Release(folder, folder / "Labels" / "labels_consensus.csv", recording)
    front = [one for one in mead_names(("M003",)) if "/front/" in one]
    names = (front if name == "mead" else NAMES[name]())[:6]
    write_release(folder, names, b"RIFF")
    return Release(folder, None, folder / names[0])


def whole(name: str, folder: Path) -> None:
    """A skeleton of the whole release; IEMOCAP's and MELD's are made by `shards.synthetic.generate`."""
    if name in _CLIPS:
        write_clip_table(folder, _CLIPS[name], _CLIPS[name].published, b"x")
    elif name in _LISTS:
        write_fold_lists(folder, _LISTS[name], _LISTS[name].counts, b"x")
    elif name == "msp_improv":
        write_msp_improv(folder, TURNS, b"x")
    else:
        write_release(folder, NAMES[name](), b"RIFF")
