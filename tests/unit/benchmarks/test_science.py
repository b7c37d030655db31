"""The benchmark of the families: what it trains, what it skips, and what its tables say of known answers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.science import tables, training
from benchmarks.science.encoders import GreyPictures, MelBands, WordVectors, fixed_encoders
from benchmarks.science.members import DUAL, alone, configured, dropped, families, switches, variants
from dual_hpc.evaluation.prediction_set import PredictionSet
from dual_hpc.model.family import FAMILIES
from launch.runs.plan import PlannedRun
from tests.unit.evaluation.comparison.made import corpus, predictions


def made(av: float, avt: float, misled: float, seed: int = 0) -> PredictionSet:
    return predictions(corpus(40, 12), {"av": av, "avt": avt, "mismatched text": misled}, chance=seed)


def test_every_family_is_trained_and_dual_is_what_the_others_are_compared_with() -> None:
    names = [member.name for member in families()]
    assert names[0] == DUAL and set(names) == set(FAMILIES)
    runs = [member.run_name(0) for member in (*families(), *switches(), *alone(), *dropped(), *variants())]
    assert len(set(runs)) == len(runs) and not any(set(name) & set(" ,=") for name in runs)


def test_an_ablation_turns_parts_and_no_modality() -> None:
    settings = {setting for member in switches() for setting in member.settings}
    assert {"model.use_sdm=false", "model.use_vdm=false", "model.use_residual=false"} <= settings
    assert not any(f"use_{name}" in setting for setting in settings for name in ("audio", "video", "text"))


def test_members_differ_in_their_settings_and_seed_alone(tmp_path: Path) -> None:
    first, other = (configured(member, 1, tmp_path, tmp_path / "shards", 2) for member in families()[:2])
    assert other.model.family != first.model.family and other.seed == first.seed == 1
    alike = {"name", "model"}
    assert first.model_dump(exclude=alike) == other.model_dump(exclude=alike)


def test_a_run_that_was_evaluated_is_not_trained_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = configured(families()[0], 0, tmp_path, tmp_path / "shards", 1)
    run = tmp_path / "runs" / config.name
    training.predictions_file(run).parent.mkdir(parents=True)
    training.predictions_file(run).touch()
    monkeypatch.setattr(training, "plan_config", lambda config: PlannedRun(run, config))
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("it was trained again"))
    assert training.finish(config) == run


def test_the_table_of_families_says_dual_minus_the_other() -> None:
    found = {
        DUAL: {seed: made(0.8, 0.85, 0.75, seed) for seed in range(5)},
        "mult": {seed: made(0.5, 0.95, 0.2, 10 + seed) for seed in range(5)},
    }
    found["mult"] = {
        seed: PredictionSet(**{**vars(one), "about": {**one.about, "seed": seed}})
        for seed, one in found["mult"].items()
    }
    lines = tables.families_table(tables.compared(found, []))
    (row,) = [line.split("|") for line in lines if line.startswith(f"| {DUAL} - mult")]
    with_text, without, misled, reliance = (float(cell.split()[0].rstrip("*")) for cell in row[3:7])
    assert with_text == pytest.approx(-10, abs=3) and without == pytest.approx(30, abs=3)
    assert misled == pytest.approx(55, abs=3) and reliance < -30
    assert "*" in row[6] and "[-" in row[6] and ", -" in row[6]


def test_the_verdicts_tell_what_differs_from_what_does_not() -> None:
    found = {
        DUAL: {0: made(0.8, 0.8, 0.75)},
        "mult": {0: made(0.5, 0.95, 0.2, 1)},
        "mmin": {0: made(0.8, 0.8, 0.75, 2)},
    }
    for name, by_seed in found.items():
        found[name] = {0: PredictionSet(**{**vars(by_seed[0]), "about": {**by_seed[0].about, "seed": 0}})}
    with_text, without, misled, reliance, cost = tables.verdicts(tables.compared(found, []))
    assert "above: mult; not told apart: mmin; below: none" in with_text and "above: mult;" in reliance
    assert "below: mult." in without and "below: mult." in misled
    assert cost.index("mult 7") < cost.index(f"{DUAL} ")


def test_an_ablation_is_paired_by_seed_and_tells_classes_apart() -> None:
    full = {seed: made(1.0, 1.0, 1.0, seed) for seed in range(3)}
    part: dict[int, PredictionSet] = {}
    for seed, one in full.items():
        av = one.found["av"]
        answers = np.where(av.truth == 0, 1, av.truth)  # every angry utterance is called happy
        shown = type(av)(av.keys, av.truth, np.eye(4, dtype=np.float32)[answers])
        part[seed] = PredictionSet(**{**vars(one), "found": {**one.found, "av": shown}})
    (row,) = [line for line in tables.ablation_table({DUAL: full, "no SDM": part}) if "no SDM" in line]
    cells = [cell.strip() for cell in row.split("|")[2:]]
    assert cells[:7] == [
        *("3", "50.0", "-50.0 [-50.0, -50.0]", "100.0", "+0.0 [+0.0, +0.0]"),
        *("75.0", "-25.0 [-25.0, -25.0]"),
    ]


def test_an_interval_over_seeds_is_student_s() -> None:
    assert tables.over_seeds(np.array([0.0, 0.02])) == "+1.0 [-11.7, +13.7]"  # t of one degree of freedom: 12.7
    assert tables.over_seeds(np.array([0.05])) == "+5.0"


def test_padding_changes_no_feature_and_what_is_missing_has_none() -> None:
    torch.manual_seed(0)
    sound, alone = torch.randn(1, 16_000), MelBands()
    bands, steps = alone(sound, torch.tensor([16_000]))
    padded = torch.cat([torch.nn.functional.pad(sound, (0, 5_000), value=7.0), torch.randn(1, 21_000)])
    both, lengths = alone(padded, torch.tensor([16_000, 0]))
    assert lengths.tolist() == [25, 0] and steps.tolist() == [25]
    assert torch.allclose(both[0, :25], bands[0, :25], atol=1e-5) and not both[1].any() and not both[0, 25:].any()
    pictures = GreyPictures()(torch.randint(0, 256, (2, 3, 3, 48, 48), dtype=torch.uint8), torch.tensor([2, 0]))
    assert (
        pictures.shape == (2, 3, 144) and pictures[0, :2].any() and not pictures[0, 2].any() and not pictures[1].any()
    )


def test_a_word_has_the_same_vector_everywhere() -> None:
    ids, mask = torch.tensor([[4, 5, 4], [5, 0, 0]]), torch.tensor([[1, 1, 1], [1, 0, 0]])
    words, valid = WordVectors(9)(ids, mask)
    assert torch.equal(words[0, 0], words[0, 2]) and torch.equal(words[0, 1], words[1, 0])
    assert not words[1, 1:].any() and valid.tolist() == mask.bool().tolist()
    assert torch.equal(WordVectors(9)(ids, mask)[0], words)


def test_the_encoders_say_what_they_are() -> None:
    found = fixed_encoders(["a man sat", "a man stood"])
    assert set(found.modules) == set(found.identity) == {"audio", "video", "text"}
    assert found.modules["text"].vectors.num_embeddings == len(found.tokenizer)
