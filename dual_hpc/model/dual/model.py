"""DUAL: emotion from audio and video, which text may refine at the end."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dual_hpc.model.dual.alignment_loss import AlignmentLoss, centre, similarity
from dual_hpc.model.dual.configuration import DualConfig
from dual_hpc.model.dual.decoder import EmotionDecoder, TextMemory
from dual_hpc.model.dual.differential import AudioDifferential, VideoDifferential
from dual_hpc.model.dual.output import DualOutput
from dual_hpc.model.dual.projection import AbsentModality, ModalityAlignment
from dual_hpc.model.dual.residual import SentimentResidual
from dual_hpc.model.emotion_model import WRONG_BATCH, EmotionModel
from dual_hpc.model.grid import grid_lengths, most_steps
from dual_hpc.model.masking import prefix_mask

from transformers import AutoModel  # isort: skip  (after the torchaudio stub)

# A modality's content, and its lengths [B] or (token ids) its mask; None only where the model does not use it.
Source = tuple[torch.Tensor | None, torch.Tensor | None]


class DualForEmotionClassification(EmotionModel):
    """Dynamic Unified Alignment for Low-text dependency.

    Every sample runs the same graph, whatever it lacks: a missing modality has length 0 and is replaced by a learned
    vector. Everything above the encoders works on prefixes, so valid outputs depend neither on padding nor on the
    other samples.
    """

    config_class = DualConfig
    base_model_prefix = "dual"

    def __init__(self, config: DualConfig) -> None:
        super().__init__(config)
        c = config
        width, preprocessing = c.hidden_size, c.preprocessing
        self.audio_alignment: nn.Module = AbsentModality(width)
        self.video_alignment: nn.Module = AbsentModality(width)
        if self.audio_encoder is not None:
            self.audio_alignment = ModalityAlignment(
                self.audio_encoder.output_size, width, self.audio_encoder.rate_hz, c.grid_hz, c.dropout
            )
        if self.video_encoder is not None:
            self.video_alignment = ModalityAlignment(
                self.video_encoder.output_size, width, preprocessing["video_hz"], c.grid_hz, c.dropout
            )
        self.sdm = AudioDifferential(width, c.use_sdm, c.kernels)
        self.vdm = VideoDifferential(width, c.use_vdm, c.kernels)
        both = c.use_audio and c.use_video
        self.static_loss = self._alignment_loss() if both and c.use_static_alignment else None
        self.dynamic_loss = self._alignment_loss() if both and c.use_dynamic_alignment else None
        layers = c.residual_layers if c.use_residual else 0
        self.residual = SentimentResidual(width, layers, c.num_heads, c.dropout)
        self.memory = TextMemory(self.text_encoder.output_size if self.text_encoder is not None else None, width)
        self.decoder = EmotionDecoder(width, c.decoder_layers, c.num_heads, c.dropout, c.outputs)
        encoded = [name for name in ("audio", "video") if getattr(c, f"use_{name}")]
        encoded = encoded if c.lambda_unimodal or c.unimodal_logits else []
        self.unimodal = nn.ModuleDict({name: nn.Linear(width, c.outputs) for name in encoded})
        self.ready()

    def _alignment_loss(self) -> AlignmentLoss:
        c = self.config
        return AlignmentLoss(
            c.alignment_temperature, c.learn_temperature, c.align_across_batch, c.kernels, c.align_centred
        )

    def blocks(self) -> list[nn.Module]:
        return [*self.residual.layers, *self.decoder.layers]

    def forward(
        self,
        *,
        durations: torch.Tensor,
        waveform: torch.Tensor | None = None,
        waveform_lengths: torch.Tensor | None = None,
        frames: torch.Tensor | None = None,
        frame_lengths: torch.Tensor | None = None,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        audio: torch.Tensor | None = None,
        audio_lengths: torch.Tensor | None = None,
        video: torch.Tensor | None = None,
        video_lengths: torch.Tensor | None = None,
        text: torch.Tensor | None = None,
        text_lengths: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        output_alignment: bool = False,
        output_text_attention: bool = False,
        **_: Any,
    ) -> DualOutput:
        """One batch of utterances, as media or, where the encoders are of the kind `features`, as features.

        Args:
            durations: f32 [B] seconds.
            waveform: f32 [B, N], mono at `preprocessing["sample_rate"]`.
            waveform_lengths: i64 [B] samples; 0 = no audio.
            frames: uint8 [B, F, 3, S, S] RGB, frame k at (k + 0.5) / `preprocessing["video_hz"]` seconds.
            frame_lengths: i64 [B]; 0 = no video.
            input_ids, attention_mask: i64 [B, L]; a row of zeros in the mask = no text.
            audio, video, text: features [B, S, E] of any floating type, each with `NAME_lengths` i64 [B]; 0 = none.
            labels: i64 [B], -100 = none; or others that `EmotionModel.classification_loss` takes.
            output_alignment: also return the similarity matrices.
            output_text_attention: also return how much the answer looks at each token.
        """
        lengths = grid_lengths(durations, self.config.grid_hz)
        steps = most_steps(durations, self.config.grid_hz)
        sources = self.sources(
            {
                **{"waveform": waveform, "waveform_lengths": waveform_lengths},
                **{"frames": frames, "frame_lengths": frame_lengths},
                **{"input_ids": input_ids, "attention_mask": attention_mask},
                **{"audio": audio, "audio_lengths": audio_lengths, "video": video, "video_lengths": video_lengths},
                **{"text": text, "text_lengths": text_lengths},
            }
        )
        audio_static, heard = self._audio(sources["audio"], lengths, steps)
        video_static, seen = self._video(sources["video"], lengths, steps)
        audio_delta, audio_pair = self.sdm(audio_static, lengths)
        video_delta, video_pair = self.vdm(video_static, lengths)
        bottleneck = self.residual(audio_pair, video_pair, lengths)

        memory, memory_mask = self._text(sources["text"], lengths.shape[0])
        answers = self.decoder(bottleneck, lengths, memory, memory_mask).float()
        alone = self._unimodal({"audio": (audio_static, heard), "video": (video_static, seen)}, lengths)
        if self.config.unimodal_logits:
            answers = answers + sum(logits for logits, _ in alone)
        logits, dimensions = self.divided(answers)

        mask = prefix_mask(lengths, steps)
        output = DualOutput(logits=logits, dimensions=dimensions, bottleneck=bottleneck, mask=mask)
        comparable = lengths * (heard & seen)  # an utterance can only be aligned if it has both
        if labels is not None:
            output.loss_cls = self.classification_loss(answers, labels).mean()
            output.loss_static = _mean_or_zero(self.static_loss, audio_static, video_static, comparable)
            output.loss_dynamic = _mean_or_zero(self.dynamic_loss, audio_delta, video_delta, comparable)
            output.loss = (
                output.loss_cls
                + self.config.lambda_static * output.loss_static
                + self.config.lambda_dynamic * output.loss_dynamic
            )
            if alone and self.config.lambda_unimodal:
                losses = [(self.classification_loss(logits, labels) * present).mean() for logits, present in alone]
                output.loss_unimodal = torch.stack(losses).sum()
                output.loss = output.loss + self.config.lambda_unimodal * output.loss_unimodal
        if output_text_attention and self.text_encoder is not None:
            looked = self.decoder.memory_attention(bottleneck, lengths, memory, memory_mask)
            output.text_attention = looked[:, 1:]  # without the null token
        if output_alignment:
            if self.config.align_centred:
                audio_static, video_static, audio_delta, video_delta = (
                    centre(x, comparable) for x in (audio_static, video_static, audio_delta, video_delta)
                )
            output.alignment_static = similarity(audio_static, video_static, comparable)
            output.alignment_dynamic = similarity(audio_delta, video_delta, comparable)
        return output

    def _unimodal(
        self, found: dict[str, tuple[torch.Tensor, torch.Tensor]], lengths: torch.Tensor
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """What each modality's F [B, T, d] alone answers, f32 [B, C], 0 where a sample lacks it; and which have it."""
        answers = []
        for name, head in self.unimodal.items():
            features, present = found[name]
            logits = head(features.sum(dim=1) / lengths.unsqueeze(1)).float()
            answers.append((logits * present.unsqueeze(1), present))
        return answers

    def _audio(self, source: Source, lengths: torch.Tensor, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
        """F^a [B, T, d], and which samples have audio."""
        if self.audio_encoder is None:
            return self.audio_alignment(lengths, steps), torch.zeros_like(lengths, dtype=torch.bool)
        features, source_lengths = self.audio_encoder(*_given(source))
        return self.audio_alignment(features, source_lengths, lengths, steps), source_lengths > 0

    def _video(self, source: Source, lengths: torch.Tensor, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
        """F^v [B, T, d], and which samples have video."""
        if self.video_encoder is None:
            return self.video_alignment(lengths, steps), torch.zeros_like(lengths, dtype=torch.bool)
        frames, source_lengths = _given(source)
        features = self.video_encoder(frames, source_lengths)
        return self.video_alignment(features, source_lengths, lengths, steps), source_lengths > 0

    def _text(self, source: Source, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What the decoder attends to, and its mask."""
        if self.text_encoder is None:
            return self.memory(batch, None, None)
        return self.memory(batch, *self.text_encoder(*_given(source)))


def _given(source: Source) -> tuple[torch.Tensor, torch.Tensor]:
    content, validity = source
    assert content is not None and validity is not None, WRONG_BATCH
    return content, validity


def _mean_or_zero(
    loss: AlignmentLoss | None, audio: torch.Tensor, video: torch.Tensor, lengths: torch.Tensor
) -> torch.Tensor:
    if loss is None:
        return torch.zeros((), device=audio.device)
    return loss(audio, video, lengths).mean()


AutoModel.register(DualConfig, DualForEmotionClassification, exist_ok=True)
