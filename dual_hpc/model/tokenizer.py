"""Text to token ids: a vocabulary built from the training transcripts, or a pretrained tokenizer's files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from dual_hpc.errors import UserError
from dual_hpc.files.file_kind import first_placeholder
from dual_hpc.files.regular_file import first_irregular
from dual_hpc.model.load_errors import offline
from dual_hpc.model.torchaudio_stub import install

install()

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors  # noqa: E402
from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: E402

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def build_tokenizer(texts: Iterable[str], minimum_count: int = 2, largest: int = 8_000) -> PreTrainedTokenizerFast:
    """A lower-case word tokenizer over `texts`, with [CLS] first and [SEP] last; rarer words are [UNK].

    A pure function of the multiset of texts: words are numbered by falling count, then by spelling. Rare words are left
    out so that [UNK] is seen, and learned, in training.
    """
    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.StripAccents()])
    splitter = pre_tokenizers.BertPreTokenizer()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    frequent = sorted((-count, word) for word, count in counts.items() if count >= minimum_count)
    words = [*SPECIAL, *(word for _, word in frequent[: largest - len(SPECIAL)])]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def load_tokenizer(path: str | Path) -> Any:
    """The tokenizer saved in a local directory, never a download.

    Raises:
        UserError: there is none.
    """
    if not Path(path).is_dir():
        raise UserError(f"tokenizer: {path} is not a directory")
    if (found := first_placeholder(path)) is not None:  # a vocabulary of three words, for the library
        raise UserError(f"tokenizer: {path}/{found}")
    if (irregular := first_irregular(path)) is not None:
        raise UserError(f"tokenizer: {path}/{irregular}, not a file")
    try:
        with offline():
            return AutoTokenizer.from_pretrained(str(path), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # so does `tokenizers` raise what it finds wrong
        raise UserError(f"tokenizer: {path} holds no tokenizer files (tokenizer.json, vocab.txt)") from error
