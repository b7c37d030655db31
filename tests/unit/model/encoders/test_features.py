"""Features pass through, and a batch of media is not one of features."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from dual_hpc.errors import UserError

MEDIA = ("waveform", "waveform_lengths", "frames", "frame_lengths", "input_ids", "attention_mask")


def test_features_reach_the_alignment_as_they_were_stored(make_model: Any, make_batch: Any) -> None:
    model, batch = make_model("features"), make_batch()
    assert list(model.audio_encoder.parameters()) == []
    features, lengths = model.audio_encoder(batch["audio"], batch["audio_lengths"])
    assert torch.equal(features, batch["audio"]) and torch.equal(lengths, batch["audio_lengths"])
    assert torch.equal(model.video_encoder(batch["video"], batch["video_lengths"]), batch["video"])
    words, mask = model.text_encoder(batch["text"], batch["text_lengths"])
    assert torch.equal(words, batch["text"]) and torch.equal(mask.sum(1), batch["text_lengths"])


def test_media_in_the_batch_are_not_looked_at_and_need_not_be_there(make_model: Any, make_batch: Any) -> None:
    model, batch = make_model("features"), make_batch()
    without = {name: value for name, value in batch.items() if name not in MEDIA}
    with torch.no_grad():
        assert torch.equal(model(**batch).logits, model(**without).logits)
    with pytest.raises(AssertionError, match="of media or of features"):
        make_model("light")(**without)


def test_every_modality_changes_the_answer(make_model: Any, make_batch: Any) -> None:
    model, batch = make_model("features"), make_batch(("", ""))
    with torch.no_grad():
        whole = model(**batch).logits
        for name in ("audio", "video", "text"):
            assert not torch.allclose(whole, model(**{**batch, name: batch[name].flip(0)}).logits, atol=1e-6)


def test_media_and_features_cannot_be_read_at_once(make_model: Any) -> None:
    with pytest.raises(UserError, match=r"model\.video\.kind: audio is read from features"):
        make_model("features", video={"kind": "resnet"})
    make_model("features", video={"kind": "resnet"}, use_video=False)


def test_features_of_unknown_width_are_refused(make_model: Any) -> None:
    with pytest.raises(UserError, match=r"model\.audio\.config: .*width"):
        make_model("features", audio={"kind": "features"})


def test_of_several_encoders_each_has_a_mix_of_its_own_layers(make_model: Any, make_batch: Any) -> None:
    """Stored side by side: two layers of two numbers, and another encoder's last layer."""
    parts = [{"width": 4, "encoder": "a", "layers": 2}, {"width": 2, "encoder": "b"}]
    config = {"width": 6, "rate_hz": 50.0, "encoder": "a + b", "parts": parts}
    encoder, batch = make_model("features", audio={"kind": "features", "config": config}).audio_encoder, make_batch()
    features, lengths = batch["audio"], batch["audio_lengths"]
    assert encoder.output_size == 4 and [name for name, _ in encoder.named_parameters()] == ["mixes.0.scores"]
    with torch.no_grad():
        mean = (features[..., :2] + features[..., 2:4]) / 2
        torch.testing.assert_close(encoder(features, lengths)[0], torch.cat([mean, features[..., 4:]], dim=2))
        encoder.mixes["0"].scores.copy_(torch.tensor([50.0, -50.0]))
        chosen = torch.cat([features[..., :2], features[..., 4:]], dim=2)
        torch.testing.assert_close(encoder(features, lengths)[0], chosen)
    with pytest.raises(UserError, match=r"model\.audio\.config: width 7 is not that of 2 layers in 4, 1 layers in 2"):
        make_model("features", audio={"kind": "features", "config": {**config, "width": 7}})


@pytest.mark.parametrize("family", ["light", "wav2vec2-vit-roberta"])
def test_features_of_its_encoders_give_a_model_the_answers_that_media_give(
    family: str, make_model: Any, make_batch: Any
) -> None:
    media, batch = make_model(family), make_batch()
    with torch.no_grad():
        audio, audio_lengths = media.audio_encoder(batch["waveform"], batch["waveform_lengths"])
        video = media.video_encoder(batch["frames"], batch["frame_lengths"])
        text, mask = media.text_encoder(batch["input_ids"], batch["attention_mask"])
    sections = {
        "audio": {"width": audio.shape[2], "rate_hz": media.audio_encoder.rate_hz},
        "video": {"width": video.shape[2]},
        "text": {"width": text.shape[2]},
    }
    stored = make_model("features", **{n: {"kind": "features", "config": c} for n, c in sections.items()})
    upper = {name: value for name, value in media.state_dict().items() if "_encoder." not in name}
    stored.load_state_dict(upper)
    found = {"audio": audio, "audio_lengths": audio_lengths, "video": video, "video_lengths": batch["frame_lengths"]}
    with torch.no_grad():
        answer = stored(durations=batch["durations"], text=text, text_lengths=mask.sum(1), **found)
        assert torch.equal(answer.logits, media(**batch).logits)
