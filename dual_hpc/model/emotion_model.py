"""`EmotionModel`: what the models of all families share: encoders by configuration, freezing, loading, the loss."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from dual_hpc.errors import UserError
from dual_hpc.files.file_kind import first_placeholder
from dual_hpc.files.regular_file import first_irregular
from dual_hpc.model.dimensions import dimension_loss, in_units
from dual_hpc.model.emotion_config import EmotionConfig
from dual_hpc.model.encoders.base import Encoder
from dual_hpc.model.encoders.describe import build_encoder
from dual_hpc.model.encoders.freezing import freeze
from dual_hpc.model.encoders.pretrained import read_json
from dual_hpc.model.encoders.registry import MODALITIES
from dual_hpc.model.load_errors import LOAD_ERRORS, load_error_text, offline, without_report
from dual_hpc.model.losses.classification import IGNORED, classification_loss
from dual_hpc.model.output import EmotionOutput
from dual_hpc.model.self_contained import adapter_in, bytes_of_weights, first_danger
from dual_hpc.model_manifest import check_files

from transformers import PreTrainedModel  # isort: skip  (after the torchaudio stub)


class EmotionModel(PreTrainedModel):
    """A model that recognises emotions from audio, video and text.

    `forward` takes the tensors of a batch by keyword (see `dual_hpc/model/inputs.py`), ignores those that it does not
    read, and returns an `EmotionOutput`. All ranks must run the same graph, whatever a sample lacks: a missing modality
    is a length of zero. The loss of a sample may not depend on the other samples.

    A family's class sets `config_class`, makes its parts after `super().__init__(config)`, which makes the encoders,
    and ends its constructor with `self.ready()`.
    """

    if TYPE_CHECKING:
        config: Any  # of the family's own class

    base_model_prefix = "model"
    main_input_name = "waveform"

    def __init__(self, config: EmotionConfig) -> None:
        super().__init__(config)
        self.audio_encoder = self._encoder("audio")
        self.video_encoder = self._encoder("video")
        self.text_encoder = self._encoder("text")

    def _encoder(self, modality: str) -> Any:
        if not getattr(self.config, f"use_{modality}"):
            return None
        return build_encoder(modality, getattr(self.config, modality), self.config.preprocessing)

    def ready(self) -> None:
        """End of the constructor: transformers' bookkeeping, and the encoders frozen as far as they are not trained."""
        self.post_init()
        self._freeze_encoders()

    @classmethod
    def from_pretrained(cls, folder: str | PathLike[str], *arguments: Any, **options: Any) -> Any:  # type: ignore[override]
        """A model from a local directory written by `save_pretrained`; nothing is downloaded and no pickle is read.

        Raises:
            UserError: the directory holds another model, lacks its weights, or has a configuration that makes no
                model or weights that do not fit it.
            EnvironmentFault: a file is not as it was saved.
        """
        if not options.pop("verified", False):  # `load_model` has looked at the tokenizer's files as well
            check_files(folder)
        content = read_json(Path(folder), "config.json", "model")
        own: Any = cls.config_class
        if (kind := content.get("model_type")) != own.model_type:
            raise UserError(f"model: {folder} holds a {kind!r} model, not a {own.model_type!r}")
        if mistake := own.first_mistake(content):
            raise UserError(f"model: config.json in {folder}: {mistake}")
        # Encoders whose weights are elsewhere are looked at when they are loaded.
        own_parts = {key: value for key, value in content.items() if key != "feature_encoders"}
        if danger := adapter_in(folder) or first_irregular(folder) or first_danger(own_parts, bytes_of_weights(folder)):
            raise UserError(f"model: {folder}: {danger}")
        wanted = options.pop("output_loading_info", False)
        options |= {"local_files_only": True, "use_safetensors": True}
        options |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
        try:
            with without_report(), offline():
                loaded: Any = super().from_pretrained(folder, *arguments, **options)
        except LOAD_ERRORS as error:
            reason = first_placeholder(folder) or load_error_text(error)
            raise UserError(f"model: {folder} cannot be loaded ({reason})") from error
        model, report = loaded
        misfits = {*report["missing_keys"], *report["unexpected_keys"], *(key for key, *_ in report["mismatched_keys"])}
        if misfits:
            raise UserError(f"model: the weights in {folder} do not fit its config.json ({min(misfits)})")
        model._freeze_encoders()  # transformers replaces parameters when it loads
        return (model, report) if wanted else model

    def _freeze_encoders(self) -> None:
        for modality in MODALITIES:
            encoder, spec = getattr(self, f"{modality}_encoder"), getattr(self.config, modality)
            if isinstance(encoder, Encoder):
                freeze(encoder, spec["trainable"], f"model.{modality}.trainable")

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: a model's own modules start as their constructors leave them, the encoders initialise themselves."""

    def blocks(self) -> Sequence[nn.Module]:
        """Parts above the encoders, none inside another, whose activations the backward pass may compute again."""
        return []

    def sources(self, batch: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Modality -> what its encoder takes of a batch: contents, and their lengths [B] or (token ids) their mask.

        Media, or the features in their place, in the precision of the model.

        Args:
            batch: tensors by name; those that are missing are None.
        """
        if self.config.reads_features:
            stored = {name: (batch.get(name), batch.get(f"{name}_lengths")) for name in MODALITIES}
            return {name: (None if x is None else x.to(self.dtype), sizes) for name, (x, sizes) in stored.items()}
        return {
            "audio": (batch.get("waveform"), batch.get("waveform_lengths")),
            "video": (batch.get("frames"), batch.get("frame_lengths")),
            "text": (batch.get("input_ids"), batch.get("attention_mask")),
        }

    def encode(self, batch: dict[str, Any]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Modality -> features [B, S, E] and their lengths [B], of every modality that the model reads; 0: missing.

        Args:
            batch: tensors by name, as `forward` takes them.
        """
        found: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for name, (content, validity) in self.sources(batch).items():
            encoder = getattr(self, f"{name}_encoder")
            if encoder is None:
                continue
            assert content is not None and validity is not None, WRONG_BATCH
            if name == "audio":
                found[name] = encoder(content, validity)
            elif name == "video":
                found[name] = encoder(content, validity), validity
            else:
                features, mask = encoder(content, validity)
                found[name] = features, mask.sum(dim=1)
        return found

    def classification_loss(self, answers: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of each sample by `model.loss`, with that of its dimensions where the model has such.

        Args:
            answers: f32 [B, C + D]: logits, then the D outputs of dimensions.
            labels: i64 [B] (-100: none), or f32 [B, C], distributions over the classes. With dimensions also f32
                [B, C + D]: 1 for the class (none: zeros), then values (NaN: not known).

        Returns:
            f32 [B].

        Raises:
            UserError: the model has no outputs for the dimensions.
        """
        c = self.config
        logits, further = answers, None
        if c.dimensions:
            count = len(c.labels)
            if answers.shape[1] != c.outputs:
                raise UserError(
                    f"model.family={c.model_type}: has no outputs for {', '.join(c.dimensions)}; use another"
                )
            logits = answers[:, :count]
            if labels.is_floating_point() and labels.shape[1] == c.outputs:
                further = dimension_loss(answers[:, count:], labels[:, count:].float(), c.dimensions)
                shares = labels[:, :count]
                labels = shares.argmax(dim=1).masked_fill(shares.sum(dim=1) == 0, IGNORED)
        loss = classification_loss(
            logits, labels, c.loss, c.class_counts, c.class_weights, c.focal_gamma, c.label_smoothing
        )
        return loss if further is None else loss + further

    def divided(self, answers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Of the last layer's outputs f32 [B, C + D] the logits, and the dimensions in the units of the corpus."""
        if not self.config.dimensions:
            return answers, None
        count = len(self.config.labels)
        return answers[:, :count], in_units(answers[:, count:], self.config.dimensions)

    def answer(self, answers: torch.Tensor, labels: torch.Tensor | None) -> EmotionOutput:
        """What a model without other losses returns: answers [B, C + D] of any precision; labels as above, or none."""
        answers = answers.float()
        loss = None if labels is None else self.classification_loss(answers, labels).mean()
        logits, dimensions = self.divided(answers)
        return EmotionOutput(loss=loss, logits=logits, dimensions=dimensions)


WRONG_BATCH = "the batch is of media or of features, the model of the other"
