"""The worst errors of an evaluation, with what there is to see of each, and nowhere but where it was asked for."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dual_hpc.data.dataset import ShardDataset
from dual_hpc.errors import UserError
from dual_hpc.evaluation.gallery import worst, write_gallery
from dual_hpc.evaluation.prediction_file import write_predictions
from dual_hpc.evaluation.prediction_set import PredictionSet
from dual_hpc.evaluation.predictions import Predictions
from launch.cli.main import main
from shards.options import PackOptions
from shards.packing import pack
from tests.media.odd_recordings import Pictures, Sound, write

CLASSES = ("happy", "sad")
PROBABILITIES = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.05, 0.95], [0.3, 0.7]]  # of five that are all "happy"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five clips, one of sound alone, one of pictures alone, one whose words are not Latin."""
    folder = tmp_path_factory.mktemp("media")
    with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "audio", "video", "text", "label", "split"])
        for number in range(5):
            both: list[Pictures | Sound] = [Pictures(), Sound()]
            streams = both[: 1 if number == 1 else 2][1 if number == 3 else 0 :]
            name = write(folder / f"{number}.mp4", *streams).name
            sound, picture = ("" if number == 1 else name), ("" if number == 3 else name)
            table.writerow([f"clip{number}", sound, picture, "日本語 $x$ " * 9 if number == 4 else "", "happy", "test"])
    pack("manifest", folder / "clips.csv", folder / "shards", PackOptions(video_size=48), progress=False)
    return folder / "shards"


@pytest.fixture
def answered(media: Path) -> PredictionSet:
    utterances = {one.key: one for one in ShardDataset([media]).utterances}
    probabilities = np.array(PROBABILITIES, np.float32)
    found = Predictions(sorted(utterances), np.zeros(5, np.int64), probabilities)
    about = {"model": "mine/best", "split": "test", "protocol": "all", "reads": "av"}
    return PredictionSet(about, CLASSES, [3, 2], utterances, {"av": found}, ["av"])


def test_the_surest_of_the_wrong_answers_come_first(answered: PredictionSet) -> None:
    found = worst(answered, "av", 9)
    assert [one.key for one in found] == ["clip3", "clip1", "clip4"]
    assert [(one.truth, one.answer) for one in found] == [("happy", "sad")] * 3
    assert [round(one.surplus, 3) for one in found] == [0.9, 0.6, 0.4]
    assert len(worst(answered, "av", 1)) == 1
    for subset, count in (("avt", 3), ("av", 0), ("av", 999)):
        with pytest.raises(UserError, match="--subset" if subset == "avt" else "--gallery"):
            worst(answered, subset, count)


def test_it_shows_pictures_and_sound_alone(answered: PredictionSet, media: Path, tmp_path: Path) -> None:
    from PIL import Image

    assert write_gallery(tmp_path / "made" / "a.png", answered, [media], "av", 12) == 3
    with Image.open(tmp_path / "made" / "a.png") as picture:
        assert picture.width > 800 and len(set(picture.convert("RGB").resize((64, 32)).getdata())) > 20


def test_a_damaged_video_hides_no_other_error(
    answered: PredictionSet, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(mp4: bytes) -> Any:
        raise ValueError("damaged")

    monkeypatch.setattr("dual_hpc.evaluation.gallery.middle_frame", refuse)
    assert write_gallery(tmp_path / "a.png", answered, [media], "av", 12) == 3


def test_without_errors_nothing_is_written(answered: PredictionSet, media: Path, tmp_path: Path) -> None:
    right = Predictions(answered.found["av"].keys, np.zeros(5, np.int64), np.tile([[0.9, 0.1]], (5, 1)).astype("f4"))
    perfect = PredictionSet(answered.about, CLASSES, [3, 2], answered.utterances, {"av": right}, ["av"])
    assert write_gallery(tmp_path / "a.png", perfect, [media], "av", 12) == 0 and not list(tmp_path.iterdir())


def test_the_command_draws_it_only_when_it_is_asked(
    answered: PredictionSet, media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_predictions(tmp_path / "test_predictions.jsonl", answered)
    assert main(["report", str(tmp_path)]) == 0
    assert not (tmp_path / "gallery").exists()
    assert main(["report", str(tmp_path), "--gallery"]) == 2
    assert "--shards DIR" in capsys.readouterr().err
    assert main(["report", str(tmp_path), "--shards", str(media)]) == 2
    assert main(["report", str(tmp_path), "--gallery", "2", "--shards", str(media)]) == 0
    assert [path.name for path in (tmp_path / "gallery").iterdir()] == ["test_gallery.png"]
    assert "2 errors" in capsys.readouterr().err


def test_a_gallery_of_a_run_lies_beside_its_reports_which_mlflow_gets(
    answered: PredictionSet, media: Path, tmp_path: Path
) -> None:
    from dual_hpc.config import load_config
    from dual_hpc.run.directory import RunDir

    run = RunDir.create(tmp_path / "run", load_config("demo", [f"store={tmp_path}", f"data.shards=[{media}]"]))
    write_predictions(run.reports / "test_predictions.jsonl", answered)
    assert main(["report", str(run.path), "--gallery"]) == 0
    assert (run.path / "gallery" / "test_gallery.png").is_file()
    assert not [path for path in run.reports.rglob("*") if "gallery" in path.name]
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"a": 1}))
    assert main(["report", str(run.path), "--gallery", "--subset", "avt"]) == 2
