"""Answers for raw clips from a saved model directory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from dual_hpc.data.collate import collate
from dual_hpc.data.preparation.faces import haar_detector
from dual_hpc.data.preparation.record import KEY, Side, of_model
from dual_hpc.data.tokenize import tokenize
from dual_hpc.errors import UserError, one_line
from dual_hpc.inference.preparation import Prepared, prepare
from dual_hpc.inference.preprocessing import Preprocessing
from dual_hpc.inference.requests import Clip
from dual_hpc.modality import Modality, parse_subset
from dual_hpc.model import EmotionModel
from dual_hpc.model.confidence import Confidence, read_confidence
from dual_hpc.model.family import FAMILIES
from dual_hpc.model.with_encoders import WithEncoders, load_for_media

# A missing transcript is not worth a warning: most clips have none.
_WARNED_IF_MISSING = (Modality.AUDIO, Modality.VIDEO)


@dataclass(frozen=True)
class Prediction:
    """An answer and what it rests on.

    Attributes:
        probabilities: class name -> probability; they sum to 1.
        modalities: of audio, video, text: what the clip has and the model looked at.
        duration: seconds of the clip, before cutting to the model's limit.
        confidence: 0 to 1, after temperature scaling; None of a model whose confidence was not measured.
        start, end: seconds; the part of the file that the answer rests on.
        warnings: what the user should know: missing or damaged streams, a clip cut short.
        preparation: what was done to the clip as packing did it in training: `audio`, `picture`, `face_share`; empty
            of models that do not say.
        dimensions: valence and the like in the units of the corpus, of models that were trained on them.
    """

    input: str
    label: str
    probabilities: dict[str, float]
    modalities: list[str]
    duration: float
    warnings: list[str] = field(default_factory=list)
    preparation: dict[str, Any] = field(default_factory=dict)
    start: float = 0.0
    end: float = 0.0
    dimensions: dict[str, float] = field(default_factory=dict)
    confidence: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        left_out = [name for name in ("preparation", "dimensions", "confidence") if not getattr(self, name)]
        return {key: value for key, value in asdict(self).items() if key not in left_out}


class Predictor:
    """A model, its tokenizer and its preprocessing; see `from_pretrained`."""

    def __init__(
        self,
        model: EmotionModel | WithEncoders,
        tokenizer: Any,
        device: torch.device,
        confidence: Confidence | None = None,
    ) -> None:
        """Of a model that takes media, as `load_for_media` gives it."""
        in_front = isinstance(model, WithEncoders)
        assert in_front or not model.config.reads_features, "a model of features needs its encoders in front"
        torch.nn.Module.to(model, device)
        self.model, self.tokenizer, self.device = model.eval(), tokenizer, device
        made: dict[str, Any] = model.preprocessing if isinstance(model, WithEncoders) else model.config.preprocessing
        self.confidence = confidence
        self.preprocessing = Preprocessing.of(made)
        self.preparation = of_model(getattr(model.config, KEY, None), model.config.name_or_path)
        if self.preparation is not None and self.preparation.faces:
            haar_detector()  # refuse before the work starts
        family = FAMILIES.get(model.config.model_type)
        self.inputs: tuple[str, ...] = model.inputs if isinstance(model, WithEncoders) else family.inputs
        self.labels: list[str] = model.config.labels
        self.dimensions = tuple(model.config.dimensions)
        self.reads = set(parse_subset(model.config.modalities))

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str | None = None) -> Predictor:
        """Load config.json, model.safetensors and the tokenizer of a saved model.

        Args:
            device: torch's name; None takes a GPU where there is one.

        Raises:
            UserError: the directory holds something else, this machine has no such device, or the encoders behind a
            model of features are not there.
        """
        where = usable_device(device)
        model, tokenizer = load_for_media(folder)
        return cls(model, tokenizer, where, read_confidence(Path(folder)))

    def predict(
        self,
        path: str | Path,
        text: str | None = None,
        start: float | None = None,
        end: float | None = None,
        side: Side | None = None,
    ) -> Prediction:
        """The answer for one clip; without audio, without video or without text as well.

        Raises:
            UnreadableMedia: the file holds neither readable audio nor readable video.
        """
        clip = Clip(Path(path), text, start, end, side)
        return self.answer([clip], [self.prepare(clip)])[0]

    def prepare(self, clip: Clip) -> Prepared:
        """What the model is shown of a clip; errors as for `predict`."""
        return prepare(clip, self.preprocessing, self.preparation)

    def answer(self, clips: Sequence[Clip], prepared: Sequence[Prepared]) -> list[Prediction]:
        """Answers for prepared clips, in one forward pass."""
        settings = self.preprocessing
        texts = [one.sample.text for one in prepared]
        # One token past the limit: enough to tell that the text is longer.
        longer = tokenize(texts, self.tokenizer, settings.max_tokens + 1)["attention_mask"].sum(1) > settings.max_tokens
        with torch.inference_mode():
            rows, dimensions = finite_rows(self.model(**self.tensors(prepared)), self.dimensions)
        each = zip(clips, prepared, rows, longer.tolist(), dimensions, strict=True)
        return [self._prediction(*one) for one in each]

    def tensors(self, prepared: Sequence[Prepared]) -> dict[str, torch.Tensor]:
        """What the model takes of prepared clips, on its device."""
        samples, settings = [one.sample for one in prepared], self.preprocessing
        arrays = {
            **collate(samples, settings.image_size),
            **tokenize([sample.text for sample in samples], self.tokenizer, settings.max_tokens),
        }
        return {name: torch.from_numpy(arrays[name]).to(self.device) for name in self.inputs if name in arrays}

    def _prediction(
        self, clip: Clip, prepared: Prepared, row: list[float], text_cut: bool, dimensions: dict[str, float]
    ) -> Prediction:
        warnings = list(prepared.warnings)
        if text_cut:
            warnings.append(f"only the first {self.preprocessing.max_tokens} tokens of the text are used")
        missing, unread = self.reads - prepared.present, prepared.present - self.reads
        warnings += [f"no {m}: answered without it" for m in _WARNED_IF_MISSING if m in missing]
        warnings += [f"the model was trained without {m}: not used" for m in Modality if m in unread]
        used = [str(m) for m in Modality if m in prepared.present & self.reads]
        if not used:
            warnings.append("the clip has no modality that the model reads: the answer is the model's prior")
        return Prediction(
            input=str(clip.path),
            label=self.labels[row.index(max(row))],
            probabilities=dict(zip(self.labels, row, strict=True)),
            modalities=used,
            duration=round(prepared.seconds, 3),
            warnings=warnings,
            preparation=prepared.done,
            start=round(clip.start or 0.0, 3),
            end=round((clip.start or 0.0) + prepared.sample.duration, 3),
            dimensions=dimensions,
            confidence=None if self.confidence is None else round(self.confidence.of(row), 4),
        )


def finite_rows(output: Any, dimensions: Sequence[str]) -> tuple[list[list[float]], list[dict[str, float]]]:
    """Of a model's output, the probabilities of each row, and its values by dimension ({} of a model without).

    Raises:
        UserError: they are not numbers.
    """
    rows = output.logits.float().softmax(-1).cpu().tolist()
    found = getattr(output, "dimensions", None)  # a plugin's model may have an output of its own
    values = [] if found is None else found.float().cpu().tolist()
    if not all(map(math.isfinite, (value for row in (*rows, *values) for value in row))):
        raise UserError("the model's answers are not numbers (NaN): its training diverged; use another checkpoint")
    return rows, [dict(zip(dimensions, row, strict=True)) for row in values] or [{} for _ in rows]


def usable_device(name: str | None) -> torch.device:
    """The device of that name, or None: a GPU where there is one.

    Raises:
        UserError: this machine's torch cannot use it.
    """
    name = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = one_line((str(error).strip().splitlines() or [type(error).__name__])[0], 160)
        raise UserError(f"device {name!r} cannot be used here ({reason}); leave it out, or use cpu") from error
    return device
