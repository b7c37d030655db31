"""Which utterances a synthetic IEMOCAP has: dialogues, turns, labels and sentences, before any media is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shards.synthetic.dials import DEFAULTS, Dials
from shards.synthetic.plan import TINY_SECONDS, Planned, generator, share_out, show
from shards.synthetic.sentences import Role, compose, draw_role

EMOTIONS = {
    "neu": "neutral",
    "sad": "sadness",
    "ang": "anger",
    "hap": "happiness",
    "exc": "excitement",
    "fru": "frustration",
    "sur": "surprise",
    "fea": "fear",
    "dis": "disgust",
    "oth": "other",
}
CONFUSABLE = ("neutral", "sadness", "anger", "happiness", "excitement", "frustration")  # what misleading text names

# Published utterances per session and label. The five rare labels are published over all sessions only (fea 40,
# dis 2, oth 3, sur 107, xxx 2507); how they spread over the sessions is ours.
PUBLISHED: dict[int, dict[str, int]] = {
    1: dict(neu=384, ang=229, sad=194, hap=135, exc=143, fru=280, sur=21, fea=8, dis=1, oth=0, xxx=424),
    2: dict(neu=362, ang=137, sad=197, hap=117, exc=210, fru=325, sur=21, fea=8, dis=0, oth=1, xxx=433),
    3: dict(neu=320, ang=240, sad=305, hap=135, exc=151, fru=382, sur=22, fea=8, dis=1, oth=1, xxx=571),
    4: dict(neu=258, ang=327, sad=143, hap=65, exc=238, fru=481, sur=21, fea=8, dis=0, oth=0, xxx=562),
    5: dict(neu=384, ang=170, sad=245, hap=143, exc=299, fru=381, sur=22, fea=8, dis=0, oth=1, xxx=517),
}
TOTAL = 10_039
# A small corpus has the four classes in equal parts, and a little of everything else.
BALANCED = dict(neu=22, sad=22, ang=22, hap=11, exc=11, fru=6, xxx=3, sur=1, fea=1, dis=0.5, oth=0.5)

TURNS = 6  # per dialogue of a small corpus
SECONDS = (1.5, 2.9)
RECURRING = 0.285  # of the scripted utterances: their sentence occurs in another session too
MARGIN = 0.4  # seconds before the first and after the last turn


@dataclass(frozen=True)
class Turn:
    """One utterance at its place in the dialogue (seconds)."""

    planned: Planned
    actor: str  # F or M
    start: float
    end: float


@dataclass(frozen=True)
class Dialogue:
    """One recording."""

    name: str
    session: int
    turns: tuple[Turn, ...]
    seconds: float

    @property
    def scripted(self) -> bool:
        """Scripted or improvised."""
        return "script" in self.name


def dialogue_names(session: int) -> list[str]:
    """The published recordings of a session, odd names included (28, 30, 32, 30 and 31 of them)."""
    names = []
    for actor in "FM":
        impro = [f"impro{k:02d}" for k in range(1, 8 if session == 1 else 9)]
        script = ["script01_1", "script01_2", "script01_3", "script02_1", "script02_2", "script03_1", "script03_2"]
        if (session, actor) == (3, "M"):
            impro = [*impro[:4], "impro05a", "impro05b", "impro06", "impro07", "impro08a", "impro08b"]
        if (session, actor) == (5, "M"):
            script.insert(1, "script01_1b")
        names += [f"Ses{session:02d}{actor}_{rest}" for rest in impro + script]
    return names


def choose_dialogues(session: int, count: int) -> list[str]:
    """`count` recordings with both leading actors, both kinds and the odd names among them, in published order."""
    names = dialogue_names(session)
    groups = [[n for n in names if n[5] == actor and n[7] == kind] for actor, kind in ("Fi", "Ms", "Mi", "Fs")]
    for group in groups:
        group.sort(key=lambda n: (n[-1] not in "ab", n))
    turns = [group[row] for row in range(max(map(len, groups))) for group in groups if row < len(group)]
    chosen = set(turns[:count])
    return [name for name in names if name in chosen]


def plan(utterances: int, seed: int, balance: bool, tiny: bool, dials: Dials = DEFAULTS) -> list[Dialogue]:
    """All dialogues of a corpus of `utterances`, in published order; no media is made.

    Args:
        balance: the four classes in equal parts per session, else the published proportions. 10,039 unbalanced
            utterances have exactly the published counts.
        tiny: durations of the shared tiny media instead of natural ones.
    """
    sizes = share_out(utterances, {str(s): 1.0 if balance else sum(PUBLISHED[s].values()) for s in PUBLISHED})
    drafts = [draft for session in PUBLISHED for draft in _draft_session(session, sizes[str(session)], seed, balance)]
    recurring = _recurring_sentences(drafts, seed, dials)
    rng, used, dialogues = generator(seed, "iemocap", "text"), {text for text, _ in recurring.values()}, []
    for name, turns in drafts:
        dialogues.append(_lay_out(name, turns, recurring, used, rng, seed, tiny, dials))
    return dialogues


Draft = tuple[str, list[tuple[str, str, str]]]  # dialogue, its turns as (id, actor, label)


def _draft_session(session: int, size: int, seed: int, balance: bool) -> list[Draft]:
    rng = generator(seed, "iemocap", session)
    counts = share_out(size, BALANCED if balance else PUBLISHED[session])
    queues: dict[str, list[str]] = {"F": [], "M": []}
    for label, count in counts.items():  # every label evenly over the two speakers: a voice does not tell the class
        first = int(rng.integers(2))
        for k in range(count):
            queues["FM"[(k + first) % 2]].append(label)
    for queue in queues.values():
        rng.shuffle(queue)
    names = choose_dialogues(session, max(2, min(len(dialogue_names(session)), round(size / TURNS))))
    lengths = share_out(size, {name: 1.0 for name in names})
    drafts = []
    for name in names:
        numbers, turns = {"F": 0, "M": 0}, []
        actor = name[5]
        for _ in range(lengths[name]):
            if not queues[actor]:
                actor = "M" if actor == "F" else "F"
            turns.append((f"{name}_{actor}{numbers[actor]:03d}", actor, queues[actor].pop()))
            numbers[actor] += 1
            if rng.random() < 0.75:
                actor = "M" if actor == "F" else "F"
        drafts.append((name, turns))
    return drafts


def _recurring_sentences(drafts: list[Draft], seed: int, dials: Dials) -> dict[str, tuple[str, Role]]:
    """Sentences that two or three sessions share, by utterance id: the same lines of a play, meant the same way."""
    rng = generator(seed, "iemocap", "script")
    by_label: dict[str, dict[str, list[str]]] = {}
    for name, turns in drafts:
        for identity, _, label in turns:
            if "script" in name:
                by_label.setdefault(label, {}).setdefault(name[:5], []).append(identity)
    wanted = round(RECURRING * sum(len(ids) for sessions in by_label.values() for ids in sessions.values()))
    groups: list[tuple[str, list[str]]] = []
    for label, sessions in sorted(by_label.items()):
        for ids in sessions.values():
            rng.shuffle(ids)
        while len(open_sessions := [s for s in sorted(sessions) if sessions[s]]) >= 2:
            chosen = rng.permutation(open_sessions)[: 2 + int(rng.integers(2))]
            groups.append((label, [sessions[str(s)].pop() for s in chosen]))
    rng.shuffle(groups)
    sentences: dict[str, tuple[str, Role]] = {}
    used: set[str] = set()
    for label, ids in groups:
        if len(sentences) + len(ids) > wanted + 1:
            break
        emotion, role = EMOTIONS.get(label, "other"), draw_role(rng, dials)
        while (text := compose(rng, emotion, role, CONFUSABLE)) in used:
            pass
        used.add(text)
        sentences.update(dict.fromkeys(ids, (text, role)))
    return sentences


def _lay_out(
    name: str,
    turns: list[tuple[str, str, str]],
    recurring: dict[str, tuple[str, Role]],
    used: set[str],
    text_rng: np.random.Generator,
    seed: int,
    tiny: bool,
    dials: Dials,
) -> Dialogue:
    rng, laid, clock = generator(seed, "iemocap", name), [], MARGIN
    busy = {"F": 0.0, "M": 0.0}
    for identity, actor, label in turns:
        duration = float(rng.choice(TINY_SECONDS)) if tiny else round(float(rng.uniform(*SECONDS)), 2)
        performance = show(rng, label, EMOTIONS, duration, dials)
        if identity in recurring:
            text, role = recurring[identity]
        else:
            role = draw_role(text_rng, dials)
            while (text := compose(text_rng, performance.emotion, role, CONFUSABLE)) in used:
                pass
            used.add(text)
        start = round(max(clock + float(rng.uniform(-0.35, 0.35)), busy[actor] + 0.05, 0.05), 2)
        clock = busy[actor] = round(start + duration, 2)
        planned = Planned(identity, name[:5] + actor, label, performance, text, role, identity in recurring)
        laid.append(Turn(planned, actor, start, clock))
    return Dialogue(name, int(name[4]), tuple(laid), round(max(t.end for t in laid) + MARGIN, 2))
