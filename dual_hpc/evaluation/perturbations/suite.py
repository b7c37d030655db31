"""The robustness suite: how the scores change as the inputs get worse, all from one set of weights.

Registered perturbations change what the model is shown; a modality missing from a share of the utterances needs no
forward pass of its own. Every draw depends on the seed, which is stored with the result. Mismatched text and video are
`controls`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from dual_hpc.data.modality_mask import mask_except
from dual_hpc.evaluation.metrics import Scores
from dual_hpc.evaluation.perturbations.missing_modality import MISSING_MODALITY, replace_share
from dual_hpc.evaluation.perturbations.perturbation import PERTURBATIONS, Context, Perturbation
from dual_hpc.evaluation.predictions import Batch, Predictions, View
from dual_hpc.modality import ALL_SUBSETS


@dataclass(frozen=True)
class Curve:
    """Scores of one subset of modalities under one perturbation: unperturbed, and by level.

    Attributes:
        clipped: level -> share of the audio samples that it clips, 0..1; empty where the perturbation clips nothing.
    """

    perturbation: Perturbation
    subset: str
    clean: Scores
    points: Mapping[float, Scores]
    clipped: Mapping[float, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedCurve:
    """What a curve is made of, but for the answers; plain data, which are stored with them.

    Attributes:
        clipped: as for `Curve`.
        missing: the modality is missing from a share of the utterances: no answers of its own.
    """

    perturbation: Perturbation
    subset: str
    clipped: Mapping[float, float] = field(default_factory=dict)
    missing: bool = False

    def answers(self, level: float, found: Mapping[str, Predictions], seed: int) -> Predictions:
        """The answers at a level, from those by the name of the view."""
        one = self.perturbation
        if not self.missing:
            return found[_name(one, level, self.subset)]
        without = found[_without(self.subset, one.modality)]
        return replace_share(found[self.subset], without, level / 100, seed, purpose=one.title)

    @property
    def conditions(self) -> list[str]:
        """The names of the views that it needs."""
        one = self.perturbation
        if self.missing:
            return [self.subset, _without(self.subset, one.modality)]
        return [self.subset, *(_name(one, level, self.subset) for level in one.levels)]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        one = self.perturbation
        about = {"title": one.title, "modality": one.modality, "unit": one.unit, "levels": list(one.levels)}
        clipped = {"clipped": list(self.clipped.values())} if self.clipped else {}
        return {**about, "subset": self.subset, "missing": self.missing, **clipped}

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> PlannedCurve:
        """What `to_json` has written.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        title, modality, unit = (str(written[key]) for key in ("title", "modality", "unit"))
        levels = tuple(float(level) for level in written["levels"])
        clipped = dict(zip(levels, map(float, written.get("clipped", ())), strict=False))
        # Without subsets: alike for all curves of one perturbation, which are grouped by it.
        perturbation = Perturbation(title, modality, unit, levels, subsets=())
        return cls(perturbation, str(written["subset"]), clipped, bool(written["missing"]))


@dataclass(frozen=True)
class Robustness:
    """All curves of one evaluation, and the seed of their draws.

    Attributes:
        subsets: of the modalities that the model reads and the utterances have -> unperturbed scores.
    """

    seed: int
    curves: Sequence[Curve] = field(default_factory=tuple)
    subsets: Mapping[str, Scores] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data: every metric of every point. The keys are those that earlier reports have."""
        return {
            "seed": self.seed,
            **({"subsets": {subset: dict(one.values) for subset, one in self.subsets.items()}} if self.subsets else {}),
            "curves": [
                {
                    "disturbance": curve.perturbation.title,
                    "unit": curve.perturbation.unit,
                    "shown": curve.subset,
                    "clean": dict(curve.clean.values),
                    "points": [
                        {"level": level, **({"clipped": curve.clipped[level]} if curve.clipped else {}), **found.values}
                        for level, found in curve.points.items()
                    ],
                }
                for curve in self.curves
            ],
        }


class RobustnessSuite:
    """The perturbations that apply to a model and its data: what to ask of the model, and what its answers score.

    Args:
        available: of a, v and t, what the model reads and the utterances have.
        media: whether batches hold media; of features only whole modalities can be taken away.
    """

    def __init__(self, available: Collection[str], media: bool, context: Context) -> None:
        self._available, self._context = available, context
        changes = [PERTURBATIONS.get(name) for name in PERTURBATIONS] if media else []
        applicable = [one for one in changes if one.usable(context) and set(one.modality) <= set(available)]
        missing = [one for one in MISSING_MODALITY if one.modality in available and len(available) > 1]
        self._perturbations = [*applicable, *missing]
        self.subsets = [one for one in ALL_SUBSETS if set(one) <= set(available)] if len(available) > 1 else []
        self._clipped: dict[str, list[int]] = {}  # name of the view -> samples clipped, and all

    def views(self) -> dict[str, View]:
        """Everything that the curves are computed from, by name."""
        plain = set(self.subsets)
        views: dict[str, View] = {}
        for one in self._perturbations:
            for subset in self._subsets(one):
                plain.add(subset)
                if one.apply is None:
                    plain.add(_without(subset, one.modality))
                    continue
                for level in one.levels:
                    views[_name(one, level, subset)] = partial(self._perturbed, one=one, level=level, subset=subset)
        return {**{subset: partial(mask_except, subset=subset) for subset in sorted(plain)}, **views}

    def take_clipped(self) -> dict[str, tuple[int, int]]:
        """Name of the view -> audio samples that it has clipped, and all, since this was last asked."""
        taken, self._clipped = {name: (a, b) for name, (a, b) in self._clipped.items()}, {}
        return taken

    def planned(self, clipped: Mapping[str, tuple[int, int]] | None = None) -> list[PlannedCurve]:
        """The curves that the answers to the `views` make.

        Args:
            clipped: what `take_clipped` gave, over all batches; None: what was counted since.
        """
        counts = self.take_clipped() if clipped is None else clipped
        return [
            PlannedCurve(
                one,
                subset,
                {level: _share(counts.get(_name(one, level, subset))) for level in one.levels if one.clipped},
                missing=one.apply is None,
            )
            for one in self._perturbations
            for subset in self._subsets(one)
        ]

    def result(self, found: Mapping[str, Predictions], n_classes: int) -> Robustness:
        """The curves, from the answers to the `views`."""
        return curves_of(self.planned(), found, n_classes, self._context.seed, self.subsets)

    def _subsets(self, one: Perturbation) -> list[str]:
        """Its subsets, once each as the model sees them, of which something is left when the modality is taken away."""
        seen = {
            "".join(letter for letter in subset if letter in self._available): subset for subset in one.subsets[::-1]
        }
        kept = [s for letters, s in seen.items() if one.apply is not None or _without(letters, one.modality)]
        return kept[::-1]

    def _perturbed(self, batch: Batch, one: Perturbation, level: float, subset: str) -> Batch:
        assert one.apply is not None, "a missing modality is not a view"
        if one.clipped is not None:
            counts = self._clipped.setdefault(_name(one, level, subset), [0, 0])
            counts[:] = [a + b for a, b in zip(counts, one.clipped(batch, level), strict=True)]
        return mask_except(one.apply(batch, level, self._context), subset)


def curves_of(
    planned: Sequence[PlannedCurve],
    found: Mapping[str, Predictions],
    n_classes: int,
    seed: int,
    subsets: Sequence[str] = (),
) -> Robustness:
    """The curves of a suite, from the answers to its views, by name.

    Args:
        seed: of the draws; it says which utterances lack a missing modality.
        subsets: of the modalities, that are scored unperturbed.
    """
    curves = []
    for curve in planned:
        one = curve.perturbation
        points = {level: curve.answers(level, found, seed).scores(n_classes) for level in one.levels}
        curves.append(Curve(one, curve.subset, found[curve.subset].scores(n_classes), points, curve.clipped))
    return Robustness(seed, tuple(curves), {subset: found[subset].scores(n_classes) for subset in subsets})


def _share(counts: tuple[int, int] | None) -> float:
    return 0.0 if counts is None else counts[0] / max(1, counts[1])


def _without(subset: str, modality: str) -> str:
    return subset.replace(modality, "")


def _name(one: Perturbation, level: float, subset: str) -> str:
    return f"{one.title} {level:g} {subset}"
