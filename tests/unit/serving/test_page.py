"""The page in a real browser: a recording is sent, its timeline is shown, and a click leads the player there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dual_hpc.palette import COLOURS
from tests.unit.inference.conftest import write_clip
from tests.unit.serving.browser import PROGRAM, Browser
from tests.unit.serving.conftest import Running

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed")

PLAYER = "document.querySelector('#player video, #player audio')"


@pytest.fixture(scope="module")
def browser(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture
def page(browser: Browser, server: Running) -> Browser:
    """The page, freshly loaded."""
    browser.events.clear()
    browser.resize(1400, 900)
    browser.open(server.address)
    browser.wait_for("document.getElementById('about').textContent.includes('angry')")
    return browser


def answered(page: Browser) -> None:
    """Wait for an answer."""
    page.wait_for("!document.getElementById('result').hidden")
    page.wait_for(f"{PLAYER}.readyState > 0 || {PLAYER}.hidden")


def text(page: Browser, name: str) -> str:
    return str(page.value(f"document.getElementById({json.dumps(name)}).innerText"))


def drawn(page: Browser) -> list[dict[str, Any]]:
    """The areas of the timeline."""
    found: list[dict[str, Any]] = page.value(
        "[...document.querySelectorAll('#timeline path[data-label]')].map((one) => ({label: one.dataset.label,"
        " fill: one.getAttribute('fill'), stroke: one.getAttribute('stroke'), length: one.getAttribute('d').length}))"
    )
    return found


def test_a_recording_is_sent_and_its_timeline_shown(page: Browser, server: Running, clips: Path) -> None:
    page.choose("#file", clips / "talk.mp4")
    answered(page)
    answer = server.predict(clips / "talk.mp4")
    areas = {one["label"]: one for one in drawn(page)}
    assert areas.keys() == set(answer["labels"])
    assert [areas[label]["fill"] for label in answer["labels"]] == list(COLOURS[: len(areas)])
    assert all(one["length"] > 30 for one in areas.values())
    rows = [line.split("\t") for line in text(page, "segments").splitlines()]
    assert [row[2] for row in rows] == [one["label"] for one in answer["segments"]]
    shown = "[...document.querySelectorAll('#timeline rect.segment')].map((one) => Number(one.getAttribute('width')))"
    wide = page.value("document.getElementById('timeline').clientWidth")
    assert page.value(shown) == pytest.approx(
        [wide * (one["end"] - one["start"]) / answer["seconds"] for one in answer["segments"]], abs=0.5
    )


def test_a_click_on_the_timeline_moves_the_player_and_the_playhead(page: Browser, clips: Path) -> None:
    page.choose("#file", clips / "talk.mp4")
    answered(page)
    for share in (0.25, 0.75):
        page.click("#timeline", share)
        page.wait_for(f"Math.abs({PLAYER}.currentTime - {8 * share}) < 0.1 && !{PLAYER}.seeking")
        left = float(page.value("document.getElementById('playhead').style.left").rstrip("%"))
        said = float(page.value("document.getElementById('timeline').getAttribute('aria-valuenow')"))
        assert left == pytest.approx(100 * share, abs=1) and said == pytest.approx(8 * share, abs=0.1)


def test_the_playhead_moves_along_with_the_recording(page: Browser, clips: Path) -> None:
    page.choose("#file", clips / "talk.mp4")
    answered(page)
    page.value(f"{PLAYER}.play()")
    page.wait_for("parseFloat(document.getElementById('playhead').style.left) > 5")
    page.value(f"{PLAYER}.pause()")
    left, now = page.value(f"[parseFloat(document.getElementById('playhead').style.left), {PLAYER}.currentTime]")
    assert left == pytest.approx(100 * now / 8, abs=4)
    assert text(page, "clock").startswith("0:0") and "%" in text(page, "bars")


def test_the_timeline_is_used_with_the_keyboard(page: Browser, clips: Path) -> None:
    page.choose("#file", clips / "talk.mp4")
    answered(page)
    page.value("document.getElementById('timeline').focus()")
    for key, seconds in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 8), ("Home", 0)):
        page.press(key)
        page.wait_for(f"document.getElementById('timeline').getAttribute('aria-valuenow') === '{seconds:.1f}'")


def test_a_recording_can_be_dropped(page: Browser, clips: Path) -> None:
    page.drop("#drop", clips / "sound.wav")
    answered(page)
    assert text(page, "name") == "sound.wav" and page.value(f"{PLAYER}.tagName") == "AUDIO"
    assert "no video: answered without it" in text(page, "notes")


def test_the_answer_is_downloaded_in_four_forms(page: Browser, server: Running, clips: Path) -> None:
    page.choose("#file", clips / "talk.mp4")
    answered(page)
    answer = server.predict(clips / "talk.mp4", files="true")
    for kind in ("json", "csv", "srt", "vtt"):
        file = page.downloads / f"talk.{kind}"
        page.click(f'a[download="talk.{kind}"]')
        page.wait_until(file.exists)
        if kind == "json":
            found = json.loads(file.read_text())
            assert (found["windows"], found["timeline"]) == (answer["windows"], answer["timeline"])
        else:
            assert file.read_text() == answer["files"][kind]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("notes.txt", "notes.txt: cannot be read as audio or video"),
        ("empty.mp4", "empty.mp4 is empty"),
        ("film.mp4", "film.mp4 has 2 GB; this server takes recordings up to 20 MB"),
    ],
)
def test_what_cannot_be_answered_is_said(page: Browser, clips: Path, tmp_path: Path, name: str, words: str) -> None:
    file = clips / name
    if name == "film.mp4":
        file = tmp_path / name
        with open(file, "wb") as sparse:
            sparse.truncate(2 * 10**9)
    page.choose("#file", file)
    page.wait_for("!document.getElementById('error').hidden")
    assert words in text(page, "error")
    assert page.value("document.getElementById('result').hidden && document.getElementById('work').hidden")
    page.choose("#file", clips / "both.mp4")
    answered(page)
    assert page.value("document.getElementById('error').hidden")


def test_a_name_is_shown_as_it_is(page: Browser, clips: Path, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)> & läuft 'so'.mp4"
    (tmp_path / name).write_bytes((clips / "both.mp4").read_bytes())
    page.choose("#file", tmp_path / name)
    answered(page)
    assert text(page, "name") == name and page.value("document.images.length") == 0


def test_a_bad_option_is_said_before_anything_is_sent(page: Browser, clips: Path) -> None:
    page.value("document.querySelector('[name=window]').value = '99'")
    page.choose("#file", clips / "both.mp4")
    assert page.value("document.querySelector('[name=window]').validity.rangeOverflow")
    assert not [one for one in page.addresses() if one.endswith("/predict")]
    page.value("document.querySelector('[name=window]').value = '1'")
    page.click("#again")
    answered(page)


def test_a_file_that_the_browser_cannot_play_still_has_its_timeline(page: Browser, tmp_path: Path) -> None:
    page.choose("#file", write_clip(tmp_path / "old.avi", 3.0))
    page.wait_for("!document.getElementById('result').hidden")
    page.wait_for("document.getElementById('player').innerText.includes('cannot play')")
    page.click("#timeline", 0.5)
    page.wait_for("Math.abs(parseFloat(document.getElementById('playhead').style.left) - 50) < 1")
    assert text(page, "clock") == "0:01.5"


def test_nothing_comes_from_elsewhere_and_nothing_is_complained_about(
    page: Browser, server: Running, clips: Path
) -> None:
    page.choose("#file", clips / "both.mp4")
    answered(page)
    page.click("input[value=lines]")
    assert all(re.match(re.escape(server.address) + r"/[a-z.]*$", address) for address in page.addresses())
    assert not page.complaints()
    assert [one["fill"] for one in drawn(page)] == ["none"] * 4
    assert not server.uploads()


@pytest.mark.parametrize("width", [400, 1400])
def test_the_page_fits(page: Browser, clips: Path, width: int) -> None:
    page.resize(width, 900)
    page.choose("#file", clips / "talk.mp4")
    answered(page)
    assert page.value("document.documentElement.scrollWidth <= window.innerWidth")
    outside = (
        "[...document.querySelectorAll('main *')].filter((one) => { const box = one.getBoundingClientRect();"
        " return box.width > 2 && (box.left < -1 || box.right > window.innerWidth + 1) }).map((one) => one.outerHTML)"
    )
    assert page.value(outside) == []


def test_every_control_has_a_name(page: Browser, clips: Path) -> None:
    page.choose("#file", clips / "talk.mp4")
    answered(page)
    assert page.nameless() == []
