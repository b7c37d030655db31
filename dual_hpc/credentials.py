"""Passwords and tokens: found before they are written down, and left out of what is said and logged.

A run's configuration is copied into its folder, to MLflow and into reports, and logs are read by colleagues. What logs
in belongs into the environment instead, which jobs inherit and nobody writes down.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

HIDDEN = "***"
_SHORTEST = 6  # characters of a secret in the environment; a flag such as `1` is none

# Every repetition has a bound: hostile text must not take quadratic time.
_WORDS = (
    r"passw(?:or)?d|passwd|secret|credential|api_?key|access_?key|private_?key|(?:access|auth)_?token(?![a-z])"
    r"|_token(?![a-z_])"
)
_SECRET_NAME = re.compile(rf"{_WORDS}|(?:^|_)token$", re.IGNORECASE)
_QUERY = (
    r"[?&;](?:[\w.-]{0,40}(?:token|secret|passw(?:or)?d|signature|credentials?)"
    r"|(?:[\w.-]{0,40}[_.-])?(?:api)?(?:key|pwd|auth|sig))="
)
_LOGIN = re.compile(r"[a-z][a-z0-9+.-]{0,20}://[^\s/]{0,500}@", re.IGNORECASE)
_KNOWN = (  # of GitHub, GitLab, Hugging Face, OpenAI, AWS, Slack; keys in PEM
    r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}|xox[abprs]-[\w-]{10,})|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"
)
_SAYS = re.compile(f"(?i:{_QUERY})|{_KNOWN}")
_ASSIGNED = re.compile(r"(\w{1,60})=([^\s$\"'(]|[\"'][^$\"'(])")

_REDACTIONS = (
    (re.compile(r"(://)\S{0,500}@"), rf"\1{HIDDEN}@"),
    (re.compile(rf"({_QUERY})[^&\s'\"#]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (
        re.compile(rf"((?:{_WORDS})\w{{0,40}}(?:[\"']?\s?=\s?[\"']?|[\"']\s?:\s?[\"']))[^\s\"',;&]+", re.IGNORECASE),
        rf"\1{HIDDEN}",
    ),
    (re.compile(_KNOWN), HIDDEN),
)


def without_secrets(text: str) -> str:
    """The text with `***` for logins and tokens in addresses, and for what is called a password or a token.

    Also for the values of those variables of the environment that are called so.
    """
    for secret in _of_environment():
        if secret in text:
            text = text.replace(secret, HIDDEN)
    for pattern, instead in _REDACTIONS:
        text = pattern.sub(instead, text)
    return text


def without_secrets_in_argument(text: str) -> str:
    """As `without_secrets`, for one word of a command line, which may hold blanks."""
    return without_secrets(re.sub(r"(://).{0,500}@", rf"\1{HIDDEN}@", text, flags=re.DOTALL))


def shown_value(key: str, text: str) -> str:
    """The value of a setting as a message may quote it."""
    return HIDDEN if is_secret_name(key.rpartition(".")[2]) else without_secrets_in_argument(text)


def first_secret(settings: Mapping[str, Any]) -> tuple[str, str] | None:
    """The dotted key of the first setting that holds a password or a token, and what it is; None if none does."""
    return next(((key, what) for key, value in _texts(settings) if (what := _what(key, value))), None)


def secret_in_shell_line(line: str) -> bool:
    """True if a line of a shell assigns a password or a token itself, instead of reading it."""
    assigned = (match for match in _ASSIGNED.finditer(line) if _SECRET_NAME.search(match[1]))
    return _LOGIN.search(line) is not None or _SAYS.search(line) is not None or any(assigned)


def is_secret_name(name: str) -> bool:
    """True for `MLFLOW_TRACKING_PASSWORD`, `api_key` and the like."""
    return _SECRET_NAME.search(name) is not None


def _what(key: str, text: str) -> str | None:
    name = key.rpartition(".")[2]
    if _LOGIN.search(text) or (key == "tracking.uri" and "@" in text):
        return "a login"
    if _SAYS.search(text) or (is_secret_name(name) and text):
        return "a password or a token"
    return None


def _texts(tree: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text of plain data with its dotted key."""
    if isinstance(tree, str):
        yield key, tree
    elif isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _texts(value, f"{key}.{name}" if key else str(name))
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from _texts(value, key)


def _of_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        if is_secret_name(name) and len(value) >= _SHORTEST and not value.startswith("/"):
            yield value
            if (quoted := quote(value, safe="")) != value:
                yield quoted
