"""Who asks: HTTP Basic with the auth token or an API key, and patience with those who guess (rest.md 2)."""

import base64
import binascii
from collections import OrderedDict, deque

from appliance.rooms.key_ring import KeyRing
from appliance.rooms.problems import RestError, forbidden
from appliance.sids import AccountSid
from appliance.tokens import KeyKind

MAX_FAILURES = 20
FAILURE_WINDOW_S = 60.0
_MAX_ADDRESSES = 4096


class FailureCount:
    """Counts wrong passwords per source address. The time is handed in, in seconds that only grow."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def note(self, address: str, now: float) -> bool:
        """Count a failure; return whether there have been too many lately."""
        failures = self._failures.setdefault(address, deque(maxlen=MAX_FAILURES + 1))
        self._failures.move_to_end(address)
        while len(self._failures) > _MAX_ADDRESSES:
            self._failures.popitem(last=False)
        while failures and failures[0] <= now - FAILURE_WINDOW_S:
            failures.popleft()
        failures.append(now)
        return len(failures) > MAX_FAILURES


def read_basic(header: str | None) -> tuple[str, str] | None:
    """Return user name and password of an Authorization header, or None where it holds none."""
    scheme, _, encoded = (header or "").strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    user, colon, password = decoded.partition(":")
    return (user, password) if colon else None


class Doorkeeper:
    """Tells whose request it is."""

    def __init__(self, keys: KeyRing, realm: str) -> None:
        self._keys = keys
        self._realm = realm
        self._failures = FailureCount()

    def account(self, header: str | None, address: str, now: float, method: str = "GET") -> AccountSid:
        """Return the account of an Authorization header.

        Right credentials are always let in: who shares an address with a guesser is not locked out. A restricted key
        reads only.

        Raises:
            RestError: 20003, or 20429 after too many wrong passwords from this address; 20403 the account is suspended,
                or a restricted key writes.
        """
        given = read_basic(header)
        kind = self._keys.kind_of(*given) if given else None
        if kind and (self._keys.suspended or (kind is KeyKind.RESTRICTED and method not in ("GET", "HEAD"))):
            raise forbidden()
        if kind:
            return self._keys.account_sid
        if header and self._failures.note(address, now):
            raise RestError(429, 20429, "Too Many Requests", {"Retry-After": str(int(FAILURE_WINDOW_S))})
        raise RestError(401, 20003, "Authenticate", {"WWW-Authenticate": f'Basic realm="{self._realm}"'})
