"""The account, its API keys and auth tokens in the store: sealed, so that a copy of the database opens nothing.

See tokens.md 6.
"""

import base64
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import reduce
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy.ext.asyncio import AsyncConnection

from appliance.rooms.store.columns import DamagedRow, read_row
from appliance.rooms.store.store import Job, insert_new, upsert
from appliance.rooms.store.tables import accounts, api_keys, auth_tokens
from appliance.sids import AccountSid, KeySid
from appliance.tokens import KeyKind

log = logging.getLogger(__name__)


class TokenSlot(StrEnum):
    """Both authenticate REST requests; the primary one signs callbacks."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """An API key. `disconnects`: its revocation also drops those who joined with it (tokens.md 6.1)."""

    sid: KeySid
    account_sid: AccountSid
    secret: str
    created: datetime
    friendly_name: str = ""
    kind: KeyKind = KeyKind.STANDARD
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    disconnects: bool = False

    def __repr__(self) -> str:
        return f"ApiKey({self.sid}, {self.kind})"


class Seal:
    """Encrypts what is stored, with a key made from the service's secret, which stands in a file of mode 0600."""

    def __init__(self, service_secret: str) -> None:
        key = hashlib.sha256(b"api keys and auth tokens\0" + service_secret.encode()).digest()
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def close(self, secret: str) -> str:
        return self._fernet.encrypt(secret.encode()).decode("ascii")

    def open(self, sealed: str) -> str | None:
        """Return the secret, or None where it was sealed with another service's secret, or damaged."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKeys:
    """All that may open the account; of what cannot be unsealed, nothing. Nothing opens it while it is suspended."""

    keys: Mapping[str, ApiKey]
    tokens: Mapping[TokenSlot, str]
    suspended_at: datetime | None = None


def _joined(*columns: "sa.Column[Any]") -> "sa.ColumnElement[str]":
    """All of these columns of all rows as one text."""
    parts: list[sa.ColumnElement[str]] = [sa.func.coalesce(sa.cast(column, sa.Text), "") for column in columns]
    return sa.func.aggregate_strings(reduce(lambda left, right: left.concat(" ").concat(right), parts), "\n")


_account: "sa.BindParameter[str]" = sa.bindparam("account")
_opens = (api_keys.c.sid, api_keys.c.kind, api_keys.c.revoked_at, api_keys.c.disconnects)
_VERSION = sa.select(
    sa.select(_joined(*_opens)).where(api_keys.c.account_sid == _account).scalar_subquery(),
    sa.select(_joined(auth_tokens.c.slot, auth_tokens.c.sealed_token))
    .where(auth_tokens.c.account_sid == _account)
    .scalar_subquery(),
    sa.select(sa.cast(accounts.c.suspended_at, sa.Text)).where(accounts.c.sid == _account).scalar_subquery(),
)


async def keys_version(connection: AsyncConnection, account_sid: str) -> tuple[str | None, ...]:
    """Return what differs as soon as something else opens the account: one question, and nothing to unseal."""
    return tuple((await connection.execute(_VERSION, {"account": account_sid})).one())


async def read_keys(connection: AsyncConnection, account_sid: str, seal: Seal) -> StoredKeys:
    """Return the keys of an account, revoked ones included, oldest first, and its auth tokens."""
    mine = sa.select(api_keys).where(api_keys.c.account_sid == account_sid)
    keys = {}
    for row in await connection.execute(mine.order_by(api_keys.c.created, api_keys.c.sid)):
        try:
            key = read_row(api_keys, row, lambda values: _key_of(values, seal))
        except DamagedRow as error:
            log.error("store: %s; it opens nothing", error)
            continue
        if key:
            keys[row.sid] = key
    found = await connection.execute(sa.select(auth_tokens).where(auth_tokens.c.account_sid == account_sid))
    slots = {slot.value: slot for slot in TokenSlot}
    tokens = {slots[row.slot]: seal.open(row.sealed_token) for row in found if row.slot in slots}
    account = (await connection.execute(sa.select(accounts).where(accounts.c.sid == account_sid))).first()
    return StoredKeys(
        keys=keys,
        tokens={slot: token for slot, token in tokens.items() if token is not None},
        suspended_at=account.suspended_at if account else None,
    )


def _key_of(values: Mapping[str, Any], seal: Seal) -> ApiKey | None:
    secret = seal.open(values["sealed_secret"])
    rest = {name: value for name, value in values.items() if name != "sealed_secret"}
    return None if secret is None else ApiKey(**{**rest, "kind": KeyKind(values["kind"]), "secret": secret})


def suspend_account(account_sid: str, at: datetime | None) -> Job:
    """Return the job that suspends an account, or with None lets it be used again."""

    async def job(connection: AsyncConnection) -> None:
        await upsert(connection, accounts, {"sid": account_sid, "suspended_at": at})

    return job


def add_key(key: ApiKey, seal: Seal, *, unless_there: bool = False) -> Job:
    """Return the job that stores a new key; a SID that is there already is never taken again."""
    row = {
        "sid": key.sid,
        "account_sid": key.account_sid,
        "friendly_name": key.friendly_name,
        "kind": key.kind.value,
        "sealed_secret": seal.close(key.secret),
        "created": key.created,
        "disconnects": False,
    }

    async def job(connection: AsyncConnection) -> None:
        if unless_there:
            await insert_new(connection, api_keys, row)
        else:
            await connection.execute(sa.insert(api_keys), row)

    return job


def revoke_key(sid: str, at: datetime, *, disconnect: bool) -> Job:
    """Return the job that revokes a key for good; the first time counts."""

    async def job(connection: AsyncConnection) -> None:
        living = sa.and_(api_keys.c.sid == sid, api_keys.c.revoked_at.is_(None))
        await connection.execute(sa.update(api_keys).where(living).values(revoked_at=at))
        if disconnect:
            await connection.execute(sa.update(api_keys).where(api_keys.c.sid == sid).values(disconnects=True))

    return job


def note_use(used: Mapping[str, datetime]) -> Job:
    """Return the job that notes when keys were last used, by SID."""

    async def job(connection: AsyncConnection) -> None:
        for sid, at in used.items():
            await connection.execute(sa.update(api_keys).where(api_keys.c.sid == sid).values(last_used_at=at))

    return job


def put_token(
    account_sid: str, slot: TokenSlot, token: str, at: datetime, seal: Seal, *, unless_there: bool = False
) -> Job:
    """Return the job that stores an auth token in its slot."""
    row = {"account_sid": account_sid, "slot": slot.value, "sealed_token": seal.close(token), "created": at}

    async def job(connection: AsyncConnection) -> None:
        write = insert_new if unless_there else upsert
        await write(connection, auth_tokens, row)

    return job


def promote_token(account_sid: str) -> Job:
    """Return the job that makes the secondary auth token the primary one; the old primary is valid no more."""
    primary, secondary = TokenSlot.PRIMARY.value, TokenSlot.SECONDARY.value

    async def job(connection: AsyncConnection) -> None:
        mine = auth_tokens.c.account_sid == account_sid
        there = await connection.execute(sa.select(auth_tokens.c.slot).where(mine, auth_tokens.c.slot == secondary))
        if there.first():
            await connection.execute(sa.delete(auth_tokens).where(mine, auth_tokens.c.slot == primary))
            await connection.execute(
                sa.update(auth_tokens).where(mine, auth_tokens.c.slot == secondary).values(slot=primary)
            )

    return job
