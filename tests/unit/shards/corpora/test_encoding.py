"""Annotation files in the encodings that programs save: read rightly, and never by a guess that nobody hears of."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shards.corpora.encoding import decode
from shards.corpora.encoding_guess import guess

TEXTS = {
    "gb18030": [
        "id,label\na,高兴\nb,悲伤\n",
        "你为什么不告诉我这件事情呢?我真的很生气。",
        "a,b.wav,中性",
        "愤怒,",
        "联通",
    ],
    "big5": ["id,label\na,高興\nb,悲傷\n", "你為什麼不告訴我這件事情呢?我真的很生氣。", "憤怒,中性"],
    "cp932": ["id,label\na,嬉しい\nb,悲しい\n", "カード,テスト", "なぜ教えてくれなかったのですか。", "喜び,怒り"],
    "euc_jp": ["なぜ教えてくれなかったのですか。", "嬉しい"],
    "cp949": ["왜 나한테 말하지 않았어? 정말 화가 난다.", "기쁨,슬픔,분노,중립,놀람,공포,혐오"],
    "cp1251": ["Почему ты мне не сказал? Я очень злюсь.", "радость"],
    "cp1252": [
        "Café?",
        "“No” – it’s élève à l’école",
        "déçu,très",
        "über Straße",
        "Ça…",
        "é",
        "señor ¿qué?",
        "Œuvre €5",
    ],
}
WESTERN = st.text("abc ,\n.?äöüßéèñçàÉ’“–…", min_size=1)
CHINESE = st.text("高兴悲伤愤怒中性惊讶恐惧厌恶你为什么不告诉我这件事情,\nab", min_size=1)


@pytest.mark.parametrize(("encoding", "text"), [(name, text) for name, texts in TEXTS.items() for text in texts])
def test_what_is_not_utf8_is_guessed_and_told(encoding: str, text: str) -> None:
    data = text.encode(encoding)
    assert guess(data) == encoding
    read, (remark,) = decode(data)
    assert read == text and remark.is_guess and encoding in remark.what and "line" in remark.example


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("text", ["id,label\na,高兴\n", "Café", "plain", ""])
def test_utf8_and_marked_files_need_no_guess(encoding: str, text: str) -> None:
    assert decode(text.encode(encoding)) == (text, [])


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_its_mark_is_a_guess(encoding: str) -> None:
    text, (remark,) = decode("id,label\na,高兴 Café\n".encode(encoding))
    assert text == "id,label\na,高兴 Café\n" and remark.is_guess and encoding in remark.what


def test_lines_of_two_encodings_are_each_read_by_their_own() -> None:
    lines = ["Café\n", "plain\n", "naïve\n", "déçu\n"]
    data = lines[0].encode() + lines[1].encode() + lines[2].encode("cp1252") + lines[3].encode()
    text, (remark,) = decode(data)
    assert text == "".join(lines)
    assert remark.what == "is UTF-8 in part; 1 lines were read as cp1252, which is a guess"
    assert remark.example == "line 3 reads 'naïve'"


def test_a_short_word_of_chinese_that_happens_to_be_utf8_is_doubted() -> None:
    text, (remark,) = decode("id,label\na,怒\n".encode("gbk"))
    assert text == "id,label\na,ŭ\n" and remark.what == "was read as UTF-8, but may be gb18030"
    for fine in ("a,é,b", "à ç", "п", "naïve", "für, über"):
        assert decode(fine.encode()) == (fine, [])


def test_one_such_word_among_others_is_read_like_them() -> None:
    text = "".join(f"{word}\n" for word in ("高兴", "怒", *["悲伤"] * 12))
    assert decode(text.encode("gbk"))[0] == text


def test_damage_from_before_is_told() -> None:
    assert decode("it\x92s\nok\n".encode()) == ("it\u2019s\nok\n", decode("it\x92s\nok\n".encode())[1])
    (twice,) = decode("it\x92s\nok\n".encode())[1]
    assert twice.what.startswith("has 1 lines with cp1252 characters that were encoded twice")
    (garbled,) = decode("CafÃ©\nok\n".encode())[1]
    assert garbled.what.startswith("has 1 lines that look like UTF-8 once read as cp1252")
    (lost,) = decode("Caf\ufffd\n".encode())[1]
    assert lost.what.startswith("has 1 lines with characters that could not be read or were lost")
    assert "marked as UTF-16" in decode("高兴".encode("utf-16")[:-1])[1][0].what


@given(st.binary())
def test_no_bytes_are_read_otherwise_than_as_marked_or_utf8_in_silence(data: bytes) -> None:
    text, remarks = decode(data)
    marks = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)
    if not remarks and not data.startswith(marks):
        assert text.encode() == data


@given(WESTERN, st.sampled_from(["cp1252", "utf-8", "utf-16"]))
def test_western_text_is_read_rightly_or_told(text: str, encoding: str) -> None:
    read, remarks = decode(text.encode(encoding))
    assert read == text or remarks


@given(CHINESE, st.sampled_from(["gb18030", "big5", "utf-8", "utf-16"]))
def test_chinese_text_is_read_rightly_or_told(text: str, encoding: str) -> None:
    read, remarks = decode(text.encode(encoding, errors="ignore"))
    assert remarks or read == text.encode(encoding, errors="ignore").decode(encoding)


def test_a_given_encoding_is_obeyed_unless_a_mark_says_otherwise() -> None:
    assert decode("高兴".encode("gbk"), "gbk") == ("高兴", [])
    assert decode("高兴".encode("utf-8-sig"), "gbk")[0] == "高兴"
    assert decode("高兴".encode(), "utf-8") == ("高兴", [])
    assert decode("it\x92s".encode(), "utf-8")[0] == "it\u2019s"
    remark = decode("é".encode(), "cp1252")[1][-1]
    assert remark.what == "is UTF-8 too, but was read as cp1252, as --encoding says"
    with pytest.raises(UnicodeDecodeError):
        decode(b"\xff", "utf-8")
    with pytest.raises(LookupError):
        decode(b"a", "nonsense")
