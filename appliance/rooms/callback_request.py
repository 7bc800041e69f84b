"""The request of a status callback: where to, what it says, how it is signed (callbacks.md 3-5). Pure."""

import base64
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 15.0
TOTAL_TIMEOUT_S = 15.0
_RETRY_CAUSES = frozenset({"ct", "rt", "4xx", "5xx", "all"})
_LIMITS_MS: Mapping[str, tuple[int, int]] = {"ct": (100, 10_000), "rt": (100, 15_000), "tt": (100, 15_000)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackTarget:
    """A configured address taken apart.

    `url` is what is asked for and signed: without fragment and user information, with a path, else as configured.
    `receiver` is scheme, host and port; `login` user name and password for HTTP Basic, as bytes of the header.
    `quick_retries` and `retried_on` are the overrides `rc`, 0 to 5, and `rp`: they add quick attempts in front of the
    usual ones, and take none away (callbacks.md 10).
    """

    url: str
    receiver: str
    host: str
    login: str | None
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    answer_timeout_s: float = ANSWER_TIMEOUT_S
    total_timeout_s: float = TOTAL_TIMEOUT_S
    quick_retries: int = 0
    retried_on: frozenset[str] = frozenset({"ct"})

    def retries_after(self, cause: str) -> int:
        """Return how many of the first retries come at once after this cause: `ct`, `rt`, `4xx` or `5xx`."""
        return self.quick_retries if self.retried_on & {cause, "all"} else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackRequest:
    """One request, ready to be sent as it is."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


def read_target(configured: str) -> CallbackTarget:
    """Take a configured address apart (callbacks.md 4.1). Raise ValueError where it is none."""
    address, _, fragment = configured.partition("#")
    scheme, separator, rest = address.partition("://")
    # Nothing is normalised: the receiver checks the signature over the address as it was configured.
    end = min((rest.index(mark) for mark in "/?" if mark in rest), default=len(rest))
    authority, tail = rest[:end], rest[end:]
    login, _, place = authority.rpartition("@")
    if not separator or not place:
        raise ValueError("no absolute address")
    url = f"{scheme}://{place}{tail if tail.startswith('/') else '/' + tail}"
    parts = urlsplit(url)
    port = parts.port or (443 if scheme == "https" else 80)
    overrides = _overrides(fragment)
    return CallbackTarget(
        url=url,
        receiver=f"{scheme}://{parts.hostname}:{port}",
        host=parts.hostname or "",
        login=_basic(login) if login else None,
        connect_timeout_s=overrides.get("ct", CONNECT_TIMEOUT_S),
        answer_timeout_s=overrides.get("rt", ANSWER_TIMEOUT_S),
        total_timeout_s=overrides.get("tt", TOTAL_TIMEOUT_S),
        **_retries(fragment),
    )


def _retries(fragment: str) -> dict[str, Any]:
    """Return what `rc=3&rp=5xx,rt` says; what is not understood is left out."""
    given = dict(parse_qsl(fragment))
    found: dict[str, Any] = {}
    if given.get("rc") in tuple("012345"):
        found["quick_retries"] = int(given["rc"])
    causes = frozenset(given.get("rp", "").split(",")) & _RETRY_CAUSES
    return found | ({"retried_on": causes} if causes else {})


def _overrides(fragment: str) -> dict[str, float]:
    """Return the timeouts of a fragment such as `ct=1000&rt=2000`, in seconds; what is out of range is left out."""
    found: dict[str, float] = {}
    for name, value in parse_qsl(fragment):
        least, most = _LIMITS_MS.get(name, (0, -1))
        if value.isascii() and value.isdigit() and len(value) <= 6 and least <= int(value) <= most:
            found[name] = int(value) / 1000
    return found


def _basic(login: str) -> str:
    user, _, password = login.partition(":")
    plain = f"{unquote(user)}:{unquote(password)}".encode()
    return "Basic " + base64.b64encode(plain).decode("ascii")


def build_request(
    target: CallbackTarget,
    method: str,
    params: Mapping[str, str | int],
    *,
    auth_token: str,
    event_id: str,
    user_agent: str,
) -> CallbackRequest:
    """Return the request for one event; signed anew for each attempt."""
    texts = {name: str(value) for name, value in params.items()}
    encoded = "&".join(f"{name}={quote(value, safe='')}" for name, value in texts.items())
    headers = {"I-Twilio-Idempotency-Token": event_id, "User-Agent": user_agent, "Accept": "*/*"}
    if target.login:
        headers["Authorization"] = target.login
    if method == "GET":
        url = f"{target.url}{'&' if '?' in target.url else '?'}{encoded}"
        headers["X-Twilio-Signature"] = sign(auth_token, url, {})
        return CallbackRequest(method="GET", url=url, headers=headers, body=None)
    headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
    headers["X-Twilio-Signature"] = sign(auth_token, target.url, texts)
    return CallbackRequest(method="POST", url=target.url, headers=headers, body=encoded.encode("ascii"))


def sign(auth_token: str, url: str, params: Mapping[str, str | Sequence[str]]) -> str:
    """Return the signature over the address and, for a POST, the parameters in the order of their names' bytes."""
    text = url + "".join(f"{name}{params[name]}" for name in sorted(params, key=str.encode))
    return base64.b64encode(hmac.digest(auth_token.encode(), text.encode(), "sha1")).decode("ascii")
