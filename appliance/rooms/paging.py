"""Pages of a list: tokens that lead on and back, and the `meta` object (rest.md 7). Pure.

A token says in which direction to go on from which row, and belongs to one set of filters; an HMAC of the service's
own secret makes it useless to change.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from appliance.rooms.parameters import Parameters
from appliance.rooms.problems import RestError, invalid_parameter
from appliance.rooms.store.window import Key, Window
from appliance.tokens import decode_base64url, encode_base64url, unique_keys

MAX_PAGE_SIZE = 1000
DEFAULT_PAGE_SIZE = 50
_MAC_BYTES = 16
_MAX_PAGE_NUMBER = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """Which page of which list: `filters` as received, in their order."""

    filters: tuple[tuple[str, str], ...]
    size: int
    number: int
    window: Window


def read_page_request(given: Parameters, filter_names: Sequence[str], secret: bytes) -> PageRequest:
    """Read PageSize, Page and PageToken; what else is asked for are the filters.

    Raises:
        RestError: 20001, or 21481 where the token is damaged, foreign, or of other filters.
    """
    filters = tuple((name, given.last(name) or "") for name in given.values if name in filter_names)
    size = given.integer("PageSize", 1, 10**10, invalid_parameter("PageSize", "must be a number from 1 to 1000"))
    size = min(size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    number = given.integer("Page", 0, _MAX_PAGE_NUMBER, invalid_parameter("Page", "must be a number from 0"))
    token = given.last("PageToken")
    key, backwards = _read_token(token, filters, secret) if token else (None, False)
    return PageRequest(
        filters=filters,
        size=size,
        number=number or 0,
        window=Window(size=size, key=key, backwards=backwards),
    )


def page_json(
    list_key: str,
    items: Sequence[Mapping[str, Any]],
    keys: Sequence[Key],
    more: bool,
    request: PageRequest,
    address: str,
    secret: bytes,
) -> dict[str, Any]:
    """Return the answer of a list request.

    Args:
        keys: the sort key of every item.
        more: whether there is more in the direction of the request's window.
        address: the list's absolute URL, without query.
    """
    window = request.window
    first, last = (keys[0], keys[-1]) if keys else (window.key, window.key)
    onward = more or window.backwards
    back = request.number > 0 and (more or not window.backwards)

    def url(number: int, token: str | None = None) -> str:
        parts = [*request.filters, ("PageSize", str(request.size)), ("Page", str(number))]
        parts += [("PageToken", token)] if token else []
        return f"{address}?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in parts)

    own = _write_token(window.key, window.backwards, request.filters, secret) if window.key else None
    next_token = _write_token(last, False, request.filters, secret) if onward and last else None
    previous_token = _write_token(first, True, request.filters, secret) if back and first else None
    meta = {
        "page": request.number,
        "page_size": request.size,
        "first_page_url": url(0),
        "previous_page_url": url(request.number - 1, previous_token) if previous_token else None,
        "url": url(request.number, own),
        "next_page_url": url(request.number + 1, next_token) if next_token else None,
        "key": list_key,
    }
    return {list_key: list(items), "meta": meta}


def _digest(filters: Sequence[tuple[str, str]]) -> str:
    """The filters' digest; their order does not matter."""
    return hashlib.sha256(json.dumps(sorted(filters)).encode()).hexdigest()[:16]


def _mac(body: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, b"page token\0" + body, "sha256")[:_MAC_BYTES]


def _write_token(key: Key, backwards: bool, filters: Sequence[tuple[str, str]], secret: bytes) -> str:
    place = [int(backwards), int(key.created.timestamp()), key.created.microsecond, key.sid, _digest(filters)]
    body = json.dumps(place, separators=(",", ":")).encode()
    return encode_base64url(_mac(body, secret) + body)


def _read_token(token: str, filters: Sequence[tuple[str, str]], secret: bytes) -> tuple[Key, bool]:
    invalid = RestError(400, 21481, "Invalid PageToken")
    try:
        raw = decode_base64url(token)
    except ValueError:
        raise invalid from None
    mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(mac, _mac(body, secret)):
        raise invalid
    backwards, seconds, microsecond, sid, digest = json.loads(body, object_pairs_hook=unique_keys)
    if digest != _digest(filters):
        raise invalid
    created = datetime.fromtimestamp(seconds, UTC).replace(microsecond=microsecond)
    return Key(created, sid), bool(backwards)
