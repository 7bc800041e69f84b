"""Who may speak to the page at all: known host names, requests of the page itself, headers that fence it in."""

import ipaddress
import socket
import threading
import time
from collections.abc import Iterable, Mapping

import psutil
from werkzeug.datastructures import Headers

from appliance.panel.problems import Problem

PAGE_HEADER = "X-Room-Kiosk-Page"
"""Sent by the page with every request that changes something. Another site's page may not add it without asking us."""

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), display-capture=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

ADDRESSES_FRESH_S = 10.0


class KnownHosts:
    """The names this page may be asked for by, so that a rebound name of another site finds nothing (kiosk.md 18)."""

    def __init__(self, names: Iterable[str]) -> None:
        own = socket.gethostname().lower()
        self._names = {
            "localhost",
            own,
            f"{own}.local",
            own.split(".")[0] + ".local",
            *(name.lower() for name in names),
        }
        self._addresses: frozenset[str] = frozenset()
        self._read_at = -ADDRESSES_FRESH_S
        self._lock = threading.Lock()

    def check(self, host_header: str | None) -> None:
        """Raise Problem `forbidden` for a Host that is not ours."""
        name = host_name(host_header or "")
        if name in self._names or (_is_address(name) and name in self._own_addresses()):
            return
        raise Problem("forbidden", f"This page is not known by the name {name!r}.")

    def _own_addresses(self) -> frozenset[str]:
        with self._lock:
            if time.monotonic() - self._read_at >= ADDRESSES_FRESH_S:
                self._addresses = frozenset(
                    address.address.partition("%")[0].lower()
                    for addresses in psutil.net_if_addrs().values()
                    for address in addresses
                    if address.family in (socket.AF_INET, socket.AF_INET6)
                )
                self._read_at = time.monotonic()
            return self._addresses | {"127.0.0.1", "::1"}


def host_name(host_header: str) -> str:
    """Return the name or address of a Host header, without port and brackets, in small letters."""
    text = host_header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].rstrip(".")


def check_same_page(headers: Headers) -> None:
    """Raise Problem `csrf` unless a request that changes something comes from our own page, or from no page at all.

    Browsers tell where a request began: Sec-Fetch-Site, older ones Origin. A program sends neither, but the header.
    """
    if not headers.get(PAGE_HEADER):
        raise Problem("csrf", f"Add the header {PAGE_HEADER}: 1.")
    if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Problem("csrf", "The request came from another site.")
    origin = headers.get("Origin")
    if origin is not None and origin.partition("://")[2].lower() != (headers.get("Host") or "").lower():
        raise Problem("csrf", "The request came from a page of another address.")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
