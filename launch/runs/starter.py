"""The YAML file that `config init` writes: a preset below, and what the shards at hand need, each with its reason."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dual_hpc.config import load_config, preset_names
from dual_hpc.config.schema import RunConfig
from dual_hpc.config.yaml_text import write_yaml
from dual_hpc.modality import Modality
from dual_hpc.printable import printable

if TYPE_CHECKING:
    from dual_hpc.data.format.sample import Utterance

OWN, SCRATCH, PRETRAINED = "own", "scratch", "own-pretrained"
_PRESET_OF = {"iemocap": "iemocap4", "meld": "meld"}  # corpora with protocols of their own
_LABELS = 12  # that are shown
_SAMPLES_SEEN, _MOST_EPOCHS = 60_000, 120  # of `scratch`: on EmoDB's 320 for training 100 epochs were better than 60


def starter(
    name: str, preset: str | None, shards: Sequence[str] = (), utterances: Sequence[Utterance] | None = None
) -> str:
    """The text of a configuration file.

    Args:
        name: of the run.
        preset: None: the one that fits the corpus.
        shards: absolute folders, of which `utterances` are the samples; none: the lines about data are comments.
    """
    preset = preset or fitting_preset(utterances)
    config = load_config(preset)
    other = {OWN: PRETRAINED, SCRATCH: PRETRAINED, PRETRAINED: OWN}.get(preset)
    with_encoders = "with pretrained encoders, from the folder that DUAL_MODELS names"
    hint = f"  # or {other}, {with_encoders if other == PRETRAINED else 'from scratch'}" if other else ""
    if preset == OWN:
        hint += f"; or {SCRATCH}, for real speech"
    lines = [
        f"# {_first_comment(preset)}",
        "# `dual-hpc train --settings` says what each setting means, `config show FILE` what this file comes to.",
        f"preset: {preset}{hint}",
        write_yaml({"name": name}).rstrip(),
        *_data(config, shards, utterances),
        *_model(utterances),
        f"# optim: {{lr: {config.optim.lr:g}}}",
        _epochs(preset, config, utterances),
        "# launch: {profile: my-cluster.yaml, hours: 10}  # for `dual-hpc submit`",
    ]
    return "\n".join(lines) + "\n"


def _epochs(preset: str, config: RunConfig, utterances: Sequence[Utterance] | None) -> str:
    """More passes over few utterances, where the preset learns real speech from nothing."""
    epochs = config.training.epochs
    if preset != SCRATCH or utterances is None:
        return f"# training: {{epochs: {epochs}}}"
    enough = min(_MOST_EPOCHS, _SAMPLES_SEEN // max(1, len(utterances)))
    if enough <= epochs:
        return f"# training: {{epochs: {epochs}}}"
    return f"training: {{epochs: {enough}}}  # {epochs} suit a thousand utterances; fewer take more passes"


def fitting_preset(utterances: Sequence[Utterance] | None) -> str:
    """The preset of the corpus; of one of the user's own, with pretrained encoders where those it needs are there."""
    from dual_hpc.data.format.utterances import coded
    from dual_hpc.evaluation.protocols.advice import absent_modalities

    corpora = [] if utterances is None else [name.lower() for name in coded(utterances, "corpus")[1]]
    if len(corpora) == 1 and corpora[0] in _PRESET_OF:
        return _PRESET_OF[corpora[0]]
    encoders = load_config(PRETRAINED).model
    absent = [] if utterances is None else absent_modalities(utterances)
    paths = [getattr(encoders, modality).path for modality in Modality if modality not in absent]
    there = all(path is not None and os.path.isfile(Path(path) / "config.json") for path in paths)
    return PRETRAINED if there else OWN


def preset_lines() -> list[str]:
    """Each preset with what it is for."""
    known = preset_names()
    width = max(map(len, known))
    return [f"{name:{width}}  {_first_comment(name)}" for name in known]


def _first_comment(preset: str) -> str:
    from dual_hpc.config.load import PRESETS

    found = re.match(r"# (.*)\n", (PRESETS / f"{preset}.yaml").read_text(encoding="utf-8"))
    return found[1] if found else preset


def _data(config: RunConfig, shards: Sequence[str], utterances: Sequence[Utterance] | None) -> list[str]:
    from dual_hpc.data.format.utterances import coded
    from dual_hpc.evaluation.protocols.advice import SHARES, speaker_advice, split_advice, split_column

    if utterances is None:
        return ["data:", "  # shards: [DIR]  # of `dual-hpc pack`; `config init --shards DIR` fills in what they need"]
    lines = ["data:", f"  shards: {json.dumps(list(shards), ensure_ascii=False)}"]
    if config.data.protocol != "all":
        return lines
    if split_advice(utterances):
        column = split_column(utterances)
        lines += [f"  # {sentence}" for sentence in speaker_advice(utterances)]
        lines.append(f"  split: {{{column}: {SHARES}}}  # shares of train, validation, test; each {column} in one")
    codes, labels = coded(utterances, "label")
    counts = np.bincount(codes, minlength=len(labels)).tolist()
    found = sorted((printable(label), count) for label, count in zip(labels, counts, strict=True) if label is not None)
    shown = ", ".join(f"{label} {count}" for label, count in found[:_LABELS])
    more = f" and {len(found) - _LABELS} more" if len(found) > _LABELS else ""
    lines.append(f"  # classes: {{A: [LABEL, LABEL], B: [LABEL]}}  # to merge labels; found: {shown}{more}")
    return lines


def _model(utterances: Sequence[Utterance] | None) -> list[str]:
    from dual_hpc.evaluation.protocols.advice import absent_modalities

    absent = [] if utterances is None else absent_modalities(utterances)
    if not absent:
        return []
    return ["model:", *(f"  use_{modality}: false  # no sample has {modality}" for modality in absent)]
