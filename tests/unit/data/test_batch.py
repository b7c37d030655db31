"""Micro-batches as the model takes them."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from dual_hpc.data.collate import collate
from dual_hpc.data.dataset import ShardDataset
from dual_hpc.data.decoding.augment import generator
from dual_hpc.data.decoding.decoder import Sample
from dual_hpc.data.loader import EvalLoader, TrainLoader
from dual_hpc.data.modality_mask import mask_except
from dual_hpc.data.tokenize import tokenize
from tests.unit.data.conftest import Clip, augment_all, settings, write_shards


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    words = {w: i for i, w in enumerate(["[UNK]", "[CLS]", "[SEP]", "[MASK]", "[PAD]", "so", "it", "goes"])}
    fast = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    fast.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=fast, unk_token="[UNK]", pad_token="[PAD]", mask_token="[MASK]", cls_token="[CLS]"
    )


def test_texts_are_padded_cut_and_masked_where_missing(tokenizer: Any) -> None:
    out = tokenize(["so it goes", None, "so", "it " * 50], tokenizer, 8)
    assert out["input_ids"].shape == (4, 8)
    assert out["attention_mask"].sum(1).tolist() == [5, 0, 3, 8]
    assert out["input_ids"][0].tolist() == [1, 5, 6, 7, 2, 4, 4, 4]


def test_no_text_at_all_still_has_one_column(tokenizer: Any) -> None:
    for out in (tokenize([None, None], tokenizer, 8), tokenize(["so"], None, 8)):
        assert out["input_ids"].shape[1] == 1 and not out["attention_mask"].any()


def test_dropped_tokens_are_masked_and_special_ones_kept(tokenizer: Any) -> None:
    rngs = [generator(0, 0, n, "text") for n in range(2)]
    ids = tokenize(["so it goes", "it"], tokenizer, 8, (1.0, rngs))["input_ids"]
    assert ids.tolist() == [[1, 3, 3, 3, 2], [1, 3, 2, 4, 4]]


def test_blank_rows_are_zero_and_no_axis_is_empty() -> None:
    batch = collate([Sample(), Sample()], 16)
    assert batch["waveform"].shape == (2, 1) and batch["frames"].shape == (2, 1, 3, 16, 16)
    assert all(not array.any() for array in batch.values())


def test_kept_modalities_are_untouched_and_others_blank(folder: Path, tokenizer: Any) -> None:
    dataset = ShardDataset([folder])
    batch = next(iter(EvalLoader(dataset, range(4), range(4), settings(), tokenizer, batch_size=4)))
    kept = mask_except(batch, "v")
    assert torch.equal(kept["frames"], batch["frames"]) and torch.equal(kept["labels"], batch["labels"])
    for name in ("waveform_lengths", "waveform", "attention_mask"):
        assert batch[name].any() and not kept[name].any() and kept[name].shape == batch[name].shape
    assert mask_except(batch, "avt").keys() == batch.keys()


def test_missing_members_have_length_zero(tmp_path: Path, media: Any, tokenizer: Any) -> None:
    full = media(0.4)
    clips = [full, Clip(0.4, None, full.mp4), Clip(0.4, full.flac, None), Clip(0.4, full.flac, full.mp4, None)]
    dataset = ShardDataset([write_shards(tmp_path / "s", [clips])])
    batch = next(iter(EvalLoader(dataset, range(4), range(4), settings(), tokenizer, batch_size=4)))
    assert (batch["waveform_lengths"] > 0).tolist() == [True, False, True, True]
    assert (batch["frame_lengths"] > 0).tolist() == [True, True, False, True]
    assert (batch["attention_mask"].sum(1) > 0).tolist() == [True, True, True, False]
    assert batch["valid"].all()


def test_modality_dropout_sets_lengths_to_zero_and_is_the_same_again(folder: Path, tokenizer: Any) -> None:
    def lengths(seed: int) -> Any:
        loader = TrainLoader(ShardDataset([folder]), range(13), range(13), settings(), augment_all(), tokenizer, seed)
        rows = []
        for micro in itertools.chain.from_iterable(itertools.islice(loader, 12)):
            present = (micro["waveform_lengths"] > 0, micro["frame_lengths"] > 0, micro["attention_mask"].sum(1) > 0)
            rows.append(torch.stack(present))
        return torch.cat(rows, 1)

    first = lengths(1)
    assert torch.equal(first, lengths(1)) and not torch.equal(first, lengths(2))
    assert first[:2].any(0).all(), "audio or video remains"
    assert (~first).any(1).all(), "each modality is dropped sometimes"


def features_clip(frames: int) -> Clip:
    arrays = {"audio": np.full((frames, 4), 1.0, np.float16), "text": np.full((3, 6), 2.0, np.float32)}
    return Clip(0.5, text=None, npy=arrays)


@pytest.mark.parametrize("workers", [0, 1])
def test_feature_shards_give_padded_arrays_and_lengths(tmp_path: Path, workers: int) -> None:
    clips = [features_clip(2), features_clip(5), Clip(0.5, text=None, npy={"audio": np.ones((1, 4), np.float16)})]
    dataset = ShardDataset([write_shards(tmp_path / "s", [clips], kind="features")])
    loader = EvalLoader(dataset, range(3), range(3), settings(workers=workers), None, batch_size=3)
    batch = next(iter(loader))
    loader.close()
    assert batch["audio"].shape == (3, 5, 4) and batch["audio"].dtype == torch.float16
    assert batch["audio_lengths"].tolist() == [2, 5, 1]
    assert batch["text"].shape == (3, 3, 6) and batch["text_lengths"].tolist() == [3, 3, 0]
    assert "waveform" not in batch
    assert not mask_except(batch, "t")["audio_lengths"].any()


def test_padding_is_reported(folder: Path) -> None:
    loader = TrainLoader(ShardDataset([folder]), range(13), range(13), settings(), None, None, 0)
    assert loader.padding == 0
    micro = next(iter(loader))
    durations = torch.stack([m["durations"] for m in micro])
    assert loader.padding == pytest.approx(float(1 - durations.sum() / (2 * durations.max(1).values.sum())), abs=1e-5)


def test_padding_that_nobody_writes_takes_no_memory() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    samples = [Sample(10.0, np.ones(10_000_000, np.float32)), *[Sample(1.0, np.ones(1, np.float32))] * 7]
    before = resident()
    batch = collate(samples, 16)
    assert batch["waveform"].nbytes == 320_000_000
    assert resident() - before < 120_000_000
    assert batch["waveform"][1:, 1:1000].sum() == 0
