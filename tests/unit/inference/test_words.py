"""The words of a text and their tokens, and the attention to them: a planted word that decides is found by both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dual_hpc.inference.explanation import Explanation, WordShare, explain
from dual_hpc.inference.explanation_picture import explanation_png
from dual_hpc.inference.predictor import Predictor
from dual_hpc.inference.requests import Clip
from dual_hpc.inference.words import words_of
from dual_hpc.model import build_tokenizer
from dual_hpc.model.attention import MultiHeadAttention
from launch.cli.main import main

TOKENIZER = build_tokenizer(["so it never goes , does it ? 我 很 高 兴"], minimum_count=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("so it goes", ["so", "it", "goes"]),
        ("  So,  it -- never goes?! ", ["So,", "it", "--", "never", "goes?!"]),  # as written, with their punctuation
        ("我很高兴", ["我很高兴"]),  # one token
        ("我 很, 高", ["我", "很", ",", "高"]),
        ("it's 我", ["it's", "我"]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_tokens_are_put_together_to_the_words_as_written(text: str, words: list[str]) -> None:
    found = words_of(text, TOKENIZER, 32, 40)
    assert [word.text for word in found] == words
    ids = TOKENIZER(text)["input_ids"]
    assert [place for word in found for place in word.places] == list(
        range(1, len(ids) - 1)
    )  # [CLS] and [SEP] are none


@given(st.text(max_size=60), st.integers(3, 40), st.integers(1, 10))
@settings(max_examples=150)
def test_every_token_that_the_model_is_shown_is_of_one_word(text: str, max_tokens: int, most: int) -> None:
    found = words_of(text, TOKENIZER, max_tokens, most)
    places = [place for word in found for place in word.places]
    assert len(found) <= most and places == sorted(set(places)) and all(word.places for word in found)
    shown = TOKENIZER(text, truncation=True, max_length=max_tokens, return_special_tokens_mask=True)
    assert places == [place for place, special in enumerate(shown["special_tokens_mask"]) if not special]


def test_a_tokenizer_that_does_not_say_where_its_tokens_are_gives_them_as_words() -> None:
    class Slow:
        is_fast = False

        def __call__(self, text: str, **options: Any) -> dict[str, list[int]]:
            return {"input_ids": [2, *range(7, 7 + len(text.split())), 3], "special_tokens_mask": [1, 0, 0, 1]}

        def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]:
            return [f"t{number}" for number in ids]

    assert [(word.text, word.places) for word in words_of("a b", Slow(), 9, 40)] == [("t7", (1,)), ("t8", (2,))]


def test_the_weights_are_those_that_the_attention_mixes_with() -> None:
    torch.manual_seed(0)
    attention = MultiHeadAttention(8, 1, 0.0).eval()
    x, memory = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    weights = attention.weights(x, memory, mask)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))
    assert not weights[1, :, 2:].any()
    mixed = attention.output(weights @ attention.value(memory))
    torch.testing.assert_close(mixed, attention(x, memory, mask), atol=1e-6, rtol=1e-5)


def planted(folder: Path, text: str, word: str, label: str) -> Predictor:
    """A model whose decoder looks for this word of the text, and which answers with the label where it is found."""
    predictor = Predictor.from_pretrained(folder, device="cpu")
    model: Any = predictor.model
    place = 2 + text.split().index(word)  # after the null token and [CLS]
    with torch.no_grad():
        items = []
        for shown in (text, text.replace(word, "[UNK]")):
            ids = torch.tensor([predictor.tokenizer(shown)["input_ids"]])
            items.append(model.memory(1, *model.text_encoder(ids, torch.ones_like(ids)))[0][0])
        # Its product with this item is 1, with all others 0, those of the text without the word as well.
        wanted = torch.linalg.pinv(torch.cat(items))[:, place]
        cross, head = model.decoder.layers[0].cross_attention, model.decoder.head.weight
        torch.nn.init.zeros_(cross.query.weight)
        torch.nn.init.ones_(cross.query.bias)
        cross.key.weight.copy_(3 * wanted.expand(16, 16))
        torch.nn.init.eye_(cross.output.weight)
        towards = head[predictor.labels.index(label)] - head.mean(0)
        cross.value.weight.copy_(8 * torch.outer(towards / towards.norm(), wanted))
        head *= 20
    return predictor


@pytest.mark.parametrize("word", ["so", "it", "never", "goes"])
@pytest.mark.parametrize("label", ["angry", "sad"])
def test_the_word_that_decides_has_the_attention_and_the_loss(
    saved_model: Path, clips: Path, word: str, label: str
) -> None:
    predictor = planted(saved_model, "so it never goes", word, label)
    clip = Clip(clips / "sound.wav", "so it never goes")
    prepared = predictor.prepare(clip)
    assert predictor.answer([clip], [prepared])[0].label == label
    found = explain(predictor, prepared, label)
    shown = {one.word: one for one in found.words}
    assert list(shown) == ["so", "it", "never", "goes"]
    assert max(found.words, key=lambda one: one.attention or 0.0) is shown[word] and (shown[word].attention or 0) > 0.5
    assert max(found.words, key=lambda one: one.loss or 0.0) is shown[word] and (shown[word].loss or 0) > 0.1
    assert sum(one.attention or 0.0 for one in found.words) <= 1 + 1e-6  # the rest goes to the null token


def test_a_model_that_reads_no_text_and_a_clip_without_words_have_none(saved_model: Path, clips: Path) -> None:
    predictor = Predictor.from_pretrained(saved_model, device="cpu")
    for text in (None, "", "   "):
        clip = Clip(clips / "both.mp4", text)
        assert not explain(predictor, predictor.prepare(clip), "angry").words


def test_the_command_says_it_in_the_answer_and_draws_it(
    saved_model: Path, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["predict", "--model", str(saved_model), "--device", "cpu", "--text", "So it goes", "--input"]
    asked += [str(clips / "both.mp4"), "--explain"]
    assert main([*asked, str(tmp_path / "why.png"), "--format", "jsonl"]) == 0
    words = json.loads(capsys.readouterr().out)["explanation"]["words"]
    assert [one["word"] for one in words] == ["So", "it", "goes"]
    assert all(0 < one["attention"] < 1 and -1 < one["loss"] < 1 for one in words)
    assert main([*asked, "--format", "table"]) == 0  # a person reads it on the terminal
    said = capsys.readouterr().out
    assert "Shapley" in said and "So" in said and "audio" in said
    assert main([*asked, "--format", "csv"]) == 2  # which has no place for it
    assert "--explain" in capsys.readouterr().err


@pytest.mark.parametrize("attention", [0.2, None])
def test_a_picture_of_many_and_of_odd_words(attention: float | None) -> None:
    subsets = {"": 0.2, "t": 0.5}
    words = [WordShare(text, attention, 0.1) for text in ["$x_1$", "我", "a" * 300, "<b>", "😀", *["w"] * 35]]
    assert explanation_png(Explanation("sad", subsets, words=words), "clip").startswith(b"\x89PNG")
    none = SimpleNamespace(subsets=subsets, moments=(), matrices={}, label="sad", words=[WordShare("a")])
    assert explanation_png(none, "clip").startswith(b"\x89PNG")  # type: ignore[arg-type]
