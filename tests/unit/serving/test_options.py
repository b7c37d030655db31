"""The options of a request: those of `predict`, and one clear line for everything else."""

from __future__ import annotations

import pytest

from dual_hpc.serving.options import RequestOptions, parse_options
from dual_hpc.serving.replies import Refusal


def test_options_are_read_as_predict_reads_them() -> None:
    asked = {"window": "4", "hop": "1.5", "text": "so it goes", "stream": "true", "speech": "", "side": "left"}
    assert parse_options(asked) == RequestOptions(window=4.0, hop=1.5, text="so it goes", stream=True, side="left")
    assert parse_options({"window": "whole"}).window == "whole"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window", "wide"),
        ("window", "4,5"),
        ("hop", "0"),
        ("hop", "nan"),
        ("start", "-1"),
        ("end", "inf"),
        ("speech", "1.5"),
        ("smooth", "1e9"),
        ("unsure", "1"),
        ("side", "middle"),
        ("stream", "maybe"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(Refusal, match=f"^{name}: ") as refused:
        parse_options({name: value})
    assert refused.value.status == 400


def test_an_end_before_the_start_is_refused() -> None:
    with pytest.raises(Refusal, match="end must be greater than start"):
        parse_options({"start": "3", "end": "2"})


@pytest.mark.parametrize(("slip", "meant"), [("windw", "window"), ("Hop", "hop"), ("unsur", "unsure"), ("fil", "file")])
def test_a_slip_is_answered_with_what_was_meant(slip: str, meant: str) -> None:
    with pytest.raises(Refusal, match=f"did you mean {meant}"):
        parse_options({slip: "1"})


@pytest.mark.parametrize("name", ["path", "url", "Input", "folder"])
def test_nothing_can_be_named_instead_of_sent(name: str) -> None:
    with pytest.raises(Refusal, match="reads no file, and asks no address, that a client names"):
        parse_options({name: "/etc/passwd"})
