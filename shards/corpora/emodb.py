"""EmoDB (Burkhardt et al., 2005): ten actors say ten German sentences, sound alone; `03a01Wa.wav`, 535 utterances."""

from __future__ import annotations

from shards.corpora.named import Named, NamedCorpus, stem_of, whole_name

EMOTIONS = {
    **{"W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "N": "neutral", "T": "sadness"}
}
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
WOMEN = ("08", "09", "13", "14", "16")
SPEAKERS = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
PUBLISHED = {**{"anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "happiness": 71, "neutral": 79, "sadness": 62}}
_NAME = whole_name(rf"({'|'.join(SPEAKERS)})({'|'.join(SENTENCES)})([{''.join(EMOTIONS)}])([a-z])")


def meaning(path: str) -> Named | None:
    """What a file's name says."""
    name = _NAME.match(stem_of(path))
    if name is None:
        return None
    speaker, sentence, letter, version = name[1], name[2].lower(), name[3].upper(), name[4].lower()
    gender = "female" if speaker in WOMEN else "male"
    key = f"{speaker}{sentence}{letter}{version}"
    return Named(key, speaker, EMOTIONS[letter], letter, SENTENCES[sentence], {"gender": gender})


EMODB = NamedCorpus(
    "emodb", "EmoDB", "03a01Wa.wav", meaning, PUBLISHED, ("emodb7",), ("emodb", "EmoDB", "EMODB"), ("wav",)
)
