"""Which requests come from a page or program that may ask: decided by the headers Host and Origin.

A browser of the lab also shows pages of strangers. Such a page may send requests to 127.0.0.1, and under a name of its
own that it lets point there (DNS rebinding) it could even read the answers. So the name in Host must be one of this
server's, and what a page sends must come from this server's own page. No other page is ever allowed to read answers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping

from dual_hpc.serving.replies import Refusal

_LOOPBACK = ("localhost", "localhost.localdomain", "ip6-localhost")


def is_loopback(host: str) -> bool:
    """True of an address, or a name, that only this machine can connect to."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() in _LOOPBACK


def check_access(method: str, headers: Mapping[str, str], names: Collection[str]) -> None:
    """Refuse what a stranger's page asks.

    Args:
        headers: by their names in lower case.
        names: of this machine by which others may call it. An address of numbers is always allowed: there is no name in
            it that could be made to point here.

    Raises:
        Refusal: with status 421 for a foreign Host, 403 for a foreign Origin.
    """
    host = headers.get("host", "")
    name = _name_of(host)
    if name is None or not (_is_address(name) or name in _LOOPBACK or name in {one.lower() for one in names}):
        raise Refusal(421, f"Host: {host or 'nothing'}: this server has another name (--allow-host NAME allows one)")
    if method in ("GET", "HEAD"):
        return
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
    if (origin is not None and origin.partition("://")[2].lower() != host.lower()) or site not in _OWN_SITES:
        raise Refusal(403, f"Origin: {origin or site}: only this server's own page may send recordings from a browser")


_OWN_SITES = ("same-origin", "none")


def _name_of(host: str) -> str | None:
    """The name or address in a Host header, without the port; None where it is no such header."""
    name, colon, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    name = (name if colon else host).lower().rstrip(".")
    return name if name and (port.isdecimal() if colon else True) else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True
