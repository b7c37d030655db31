"""Who may ask: this machine under its own names, and from a browser only the server's own page."""

from __future__ import annotations

import pytest

from dual_hpc.serving.access import check_access, is_loopback
from dual_hpc.serving.replies import Refusal

OWN = [
    "127.0.0.1:8000",
    "localhost:9000",
    "LOCALHOST",
    "[::1]:8000",
    "10.0.0.7:8000",
    "lab.example.org",
    "lab.example.org:443",
]
FOREIGN = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "",
    ":8000",
    "a:b",
    "[::1",
]


@pytest.mark.parametrize("host", OWN)
def test_own_names_and_addresses_are_answered(host: str) -> None:
    check_access("GET", {"host": host}, ["lab.example.org"])
    check_access(
        "POST", {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}, ["Lab.Example.org"]
    )


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_name_that_was_made_to_point_here_is_refused(host: str, method: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_access(method, {"host": host, "origin": f"http://{host}"}, ["lab.example.org"])
    assert refused.value.status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://127.0.0.1"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "cross-site"},
    ],
)
def test_another_page_may_not_send(headers: dict[str, str]) -> None:
    with pytest.raises(Refusal) as refused:
        check_access("POST", {"host": "127.0.0.1:8000", **headers}, [])
    assert refused.value.status == 403


def test_a_program_sends_no_origin() -> None:
    check_access("POST", {"host": "127.0.0.1:8000"}, [])


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("::1", True), ("127.8.8.8", True), ("localhost", True)]
)
def test_loopback_is_known(host: str, own: bool) -> None:
    assert is_loopback(host) is own


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "node7", "", "localhost.evil.example"])
def test_everything_else_is_public(host: str) -> None:
    assert not is_loopback(host)
