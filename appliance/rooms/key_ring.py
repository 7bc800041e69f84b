"""Which API keys and auth tokens open the account now, if any: held in memory; changes in the store count in a second.

The store is where keys are kept (`room-kiosk rooms keys` writes there); credentials.json holds the first ones, and the
secret that all are sealed with.
"""

import asyncio
import hmac
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from appliance.clock import Clock
from appliance.rooms.credentials import Credentials
from appliance.rooms.store.keys import (
    ApiKey,
    Seal,
    StoredKeys,
    TokenSlot,
    add_key,
    keys_version,
    note_use,
    put_token,
    read_keys,
)
from appliance.rooms.store.store import Store, StoreUnavailable
from appliance.sids import AccountSid, KeySid
from appliance.tokens import KeyKind, SigningKey

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.8
"""Revocation takes effect at the latest after 1 s, on every node (tokens.md 6.1)."""
_NOTE_USE_EVERY = 20
RevokedListener = Callable[[KeySid], None]
_NOTHING = "x" * 32
"""Compared with where there is no such user, so that an unknown one takes as long as a known one."""


class KeyRing:
    """Answers who may do what. Before `open` it knows what credentials.json holds."""

    def __init__(self, credentials: Credentials, clock: Clock) -> None:
        self._clock = clock
        self._credentials = credentials
        self._seal = Seal(credentials.service_secret)
        self.account_sid: AccountSid = credentials.account_sid
        first = ApiKey(
            sid=credentials.api_key_sid,
            account_sid=credentials.account_sid,
            secret=credentials.api_key_secret,
            created=clock.now(),
            friendly_name="made at the first start",
        )
        tokens = {TokenSlot.PRIMARY: credentials.auth_token}
        self._known = StoredKeys(keys={first.sid: first}, tokens=tokens)
        self._version: tuple[str | None, ...] = ()
        self._used: dict[str, datetime] = {}
        self._told_failure = False

    # --- for those who ask

    @property
    def suspended(self) -> bool:
        """The account is suspended: whoever proves to be it is refused, and no key of it is active."""
        return self._known.suspended_at is not None

    @property
    def primary_token(self) -> str:
        """The auth token that callbacks are signed with."""
        return self._known.tokens[TokenSlot.PRIMARY]

    @property
    def signing_key(self) -> SigningKey | None:
        """A key to sign access tokens of our own with, or None where every one is revoked, or the account suspended."""
        keys = self._known.keys
        own = keys.get(self._credentials.api_key_sid)
        usable = (key for key in (own, *keys.values()) if key and _signs(key) and not self.suspended)
        return next((self._signing(key) for key in usable), None)

    def find_key(self, sid: str) -> SigningKey | None:
        """Return the API key of this SID, revoked ones too; what `tokens.verify` asks for."""
        key = self._known.keys.get(sid)
        return self._signing(key) if key else None

    def _signing(self, key: ApiKey) -> SigningKey:
        active = key.revoked_at is None and not self.suspended
        return SigningKey(sid=key.sid, secret=key.secret, account_sid=key.account_sid, kind=key.kind, active=active)

    def note_use(self, sid: str) -> None:
        """Note that a request or a token was verified with this key."""
        self._used[sid] = self._clock.now()

    def kind_of(self, user: str, password: str) -> KeyKind | None:
        """Return what this user name and password may do, or None for nothing (rest.md 2); main: the auth token.

        Takes as long for a wrong password as for an unknown user.
        """
        given = password.encode("utf-8", "surrogatepass")
        tokens = [hmac.compare_digest(given, token.encode()) for token in self._known.tokens.values()]
        key = self._known.keys.get(user)
        by_key = hmac.compare_digest(given, (key.secret if key else _NOTHING).encode())
        if user == self.account_sid and any(tokens):
            return KeyKind.MAIN
        if not key or not by_key or key.revoked_at:
            return None
        self.note_use(key.sid)
        return key.kind

    # --- its own life

    async def open(self, store: Store) -> None:
        """Put the first key and token into the store, where they are not there, and read what is there."""
        now = self._clock.now()
        account = self._credentials.account_sid
        first = self._known.keys[self._credentials.api_key_sid]
        await store.write(add_key(first, self._seal, unless_there=True))
        token = put_token(account, TokenSlot.PRIMARY, self._credentials.auth_token, now, self._seal, unless_there=True)
        await store.write(token)
        await self._read(store, patient=True)

    async def run(self, store: Store, on_revoked: RevokedListener) -> None:
        """Look for changes until cancelled; `on_revoked` hears of keys whose participants have to go."""
        for turn in range(10**12):
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look(store, on_revoked)
            if turn % _NOTE_USE_EVERY == 0:
                self._write_uses(store)

    async def look(self, store: Store, on_revoked: RevokedListener) -> None:
        """Read the store where it says something new; while it cannot be read, what was known before holds."""
        before = self._known
        try:
            await self._read(store)
        except StoreUnavailable as error:
            if not self._told_failure:
                log.error("keys cannot be read, those known before hold: %s", error)
            self._told_failure = True
            return
        self._told_failure = False
        if self._known is before:
            return
        if self._known.suspended_at != before.suspended_at:
            log.warning("account %s %s", self.account_sid, "was suspended" if self.suspended else "may be used again")
        for key in self._known.keys.values():
            old = before.keys.get(key.sid)
            if key.revoked_at and not (old and old.revoked_at):
                log.warning("API key %s was revoked", key.sid)
            if key.revoked_at and key.disconnects and not (old and old.disconnects):
                on_revoked(key.sid)

    def close(self, store: Store) -> None:
        self._write_uses(store)

    async def _read(self, store: Store, *, patient: bool = False) -> None:
        async with store.read(patient=patient) as connection:
            version = await keys_version(connection, self.account_sid)
            if version == self._version:
                return
            found = await read_keys(connection, self.account_sid, self._seal)
        if TokenSlot.PRIMARY not in found.tokens:
            # Sealed with another secret: the store is older than credentials.json, which then counts.
            tokens = {**found.tokens, TokenSlot.PRIMARY: self._credentials.auth_token}
            found = replace(found, tokens=tokens)
        self._known, self._version = found, version

    def _write_uses(self, store: Store) -> None:
        if self._used and store.healthy:
            used, self._used = self._used, {}
            store.write(note_use(used))


def _signs(key: ApiKey) -> bool:
    return key.revoked_at is None and key.kind is not KeyKind.RESTRICTED
