"""The vocabulary of the training transcripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dual_hpc.errors import UserError
from dual_hpc.model import build_tokenizer, load_tokenizer

TEXTS = ["Hello, you!", "hello there", "HELLO you", "sing"]


def test_words_are_counted_without_case_and_rare_ones_are_unknown() -> None:
    tokenizer = build_tokenizer(TEXTS)
    assert tokenizer.convert_ids_to_tokens(tokenizer("Hello you there").input_ids) == [
        "[CLS]",
        "hello",
        "you",
        "[UNK]",
        "[SEP]",
    ]
    assert len(tokenizer) == 6


def test_the_order_of_the_texts_does_not_matter() -> None:
    assert build_tokenizer(TEXTS).get_vocab() == build_tokenizer(reversed(TEXTS)).get_vocab()


def test_the_vocabulary_is_bounded_and_keeps_the_most_frequent() -> None:
    tokenizer = build_tokenizer(["a b c d"] * 2 + ["d"], largest=6)
    assert set(tokenizer.get_vocab()) == {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "d", "a"}


def test_no_texts_at_all_make_a_tokenizer_of_special_tokens() -> None:
    assert build_tokenizer([])("anything").input_ids == [2, 1, 3]


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60))
def test_any_text_becomes_known_numbers_within_the_limit(text: str) -> None:
    tokenizer = build_tokenizer(TEXTS)
    ids = tokenizer(text, truncation=True, max_length=8).input_ids
    assert 2 <= len(ids) <= 8 and ids[0] == 2 and ids[-1] == 3
    assert all(0 <= number < len(tokenizer) for number in ids)


def test_a_saved_tokenizer_reads_the_same(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(TEXTS)
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    assert again("Hello, you sing!").input_ids == tokenizer("Hello, you sing!").input_ids
    assert again.pad_token_id == tokenizer.pad_token_id == 0


@pytest.mark.parametrize("make", [lambda p: p / "absent", lambda p: p])
def test_a_directory_without_tokenizer_is_the_user_s_mistake(tmp_path: Path, make) -> None:
    with pytest.raises(UserError, match="tokenizer") as failure:
        load_tokenizer(make(tmp_path))
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("content", ["", "{", "null", "[]", '{"version": "1.0"}', '{"model": {"type": "X"}}'])
@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json"])
def test_broken_tokenizer_files_are_the_user_s_mistake(name: str, content: str, tmp_path: Path) -> None:
    build_tokenizer(TEXTS).save_pretrained(tmp_path)
    (tmp_path / name).write_text(content)
    if name == "tokenizer_config.json" and content.startswith('{"'):
        load_tokenizer(tmp_path)  # an object without any of the keys that it may have
        return
    with pytest.raises(UserError, match="tokenizer") as failure:
        load_tokenizer(tmp_path)
    assert "\n" not in str(failure.value)


def test_code_beside_a_tokenizer_is_neither_run_nor_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_tokenizer(TEXTS).save_pretrained(tmp_path)
    (tmp_path / "words.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    settings = {"auto_map": {"AutoTokenizer": [None, "words.Words"]}, "tokenizer_class": "Words"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(UserError, match="tokenizer"):
        load_tokenizer(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["tokenizer.json", "vocab.txt"])
def test_a_pointer_in_place_of_a_vocabulary_is_called_what_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("version https://git-lfs.example/spec/v1\noid sha256:00\nsize 231508\n")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UserError, match=f"{name} is a Git LFS pointer"):
        load_tokenizer(tmp_path)
