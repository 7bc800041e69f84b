"""`room-kiosk rooms VERB`: administers the store that the running service uses; VERBS at the end lists them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from appliance.clock import rfc3339
from appliance.errors import ConfigurationError
from appliance.rooms import credentials
from appliance.rooms.credentials import Credentials, new_auth_token, new_key_secret
from appliance.rooms.settings import RoomsSettings
from appliance.rooms.store.deliveries import DeliveryState, drop, letters_of_event, list_letters, replay
from appliance.rooms.store.keys import (
    ApiKey,
    Seal,
    TokenSlot,
    add_key,
    promote_token,
    put_token,
    read_keys,
    revoke_key,
    suspend_account,
)
from appliance.rooms.store.store import Store, StoreUnavailable
from appliance.settings import load_settings
from appliance.sids import new_key_sid
from appliance.system_clock import SystemClock
from appliance.tokens import KeyKind

STORE_FILE = "rooms.sqlite3"
_LIST_LIMIT = 1000
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which service is meant: its files of settings and its state directory."""

    config: tuple[Path, ...]
    state: Path

    def settings(self) -> RoomsSettings:
        return load_settings(RoomsSettings, self.config)

    @property
    def credentials_path(self) -> Path:
        return self.state / credentials.FILE_NAME


def store_url(settings: RoomsSettings, state: Path) -> str:
    """Return the address of the service's database: SQLite in the state directory unless set otherwise."""
    return settings.store.url or f"sqlite+aiosqlite:///{(state / STORE_FILE).absolute()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """The open store with what is needed to read its secrets."""

    store: Store
    secrets: Credentials
    seal: Seal


@asynccontextmanager
async def _office(place: Place) -> Any:
    secrets = credentials.load(place.credentials_path)
    async with Store(store_url(place.settings(), place.state)) as store:
        yield Office(store=store, secrets=secrets, seal=Seal(secrets.service_secret))


def _at_office(ctx: click.Context, work: Callable[[Office], Awaitable[T]]) -> T:
    """Open the store, do the work, close it; tell what is wrong in one line each, and exit with 78, or 75 for now."""

    async def run() -> T:
        async with _office(ctx.obj) as office:
            return await work(office)

    try:
        return asyncio.run(run())
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        raise SystemExit(78) from None
    except StoreUnavailable as error:
        click.echo(str(error), err=True)
        raise SystemExit(75) from None


# --- the account ------------------------------------------------------------------------------------------------------


@click.group()
def account() -> None:
    """The account that rooms, keys and auth tokens belong to."""


@account.command("show")
@click.pass_context
def show_account(ctx: click.Context) -> None:
    """Print the account as JSON."""
    found = _at_office(ctx, _read)
    sid = credentials.load(ctx.obj.credentials_path).account_sid
    click.echo(json.dumps({"sid": sid, "suspended_at": found.suspended_at}, default=_plain))


@account.command("suspend")
@click.pass_context
def suspend(ctx: click.Context) -> None:
    """Refuse REST requests (403), connects and resumes (20103) within a second; whoever is in a room stays."""

    async def work(office: Office) -> None:
        if (await _read(office)).suspended_at is None:
            await office.store.write(suspend_account(office.secrets.account_sid, SystemClock().now()))

    _at_office(ctx, work)
    click.echo("the account is suspended; `account resume` lets it be used again")


@account.command("resume")
@click.pass_context
def resume(ctx: click.Context) -> None:
    """Let a suspended account be used again, within a second, with the keys and tokens it had."""
    _at_office(ctx, lambda office: office.store.write(suspend_account(office.secrets.account_sid, None)))
    click.echo("the account may be used again")


# --- API keys ---------------------------------------------------------------------------------------------------------


@click.group()
def keys() -> None:
    """API keys: they authenticate REST requests and sign access tokens."""


@keys.command("add")
@click.option("--name", default="", help="A name for people.")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in KeyKind]),
    default=KeyKind.STANDARD.value,
    show_default=True,
    help="main and standard: REST and access tokens. restricted: reads only, signs no tokens.",
)
@click.pass_context
def add(ctx: click.Context, name: str, kind: str) -> None:
    """Make a key and print it; its secret is shown this once."""
    _say_key(_at_office(ctx, lambda office: _add(office, name, KeyKind(kind))))


async def _add(office: Office, name: str, kind: KeyKind) -> ApiKey:
    key = ApiKey(
        sid=new_key_sid(),
        account_sid=office.secrets.account_sid,
        secret=new_key_secret(),
        created=SystemClock().now(),
        friendly_name=name,
        kind=kind,
    )
    await office.store.write(add_key(key, office.seal))
    return key


def _say_key(key: ApiKey) -> None:
    click.echo(json.dumps({"sid": key.sid, "secret": key.secret, "kind": key.kind, "friendly_name": key.friendly_name}))
    click.echo("The secret is not shown again.", err=True)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def list_keys(ctx: click.Context, as_json: bool) -> None:
    """List the keys, revoked ones too; never their secrets."""
    found = list(_at_office(ctx, _read).keys.values())
    columns = ("sid", "friendly_name", "kind", "created", "last_used_at", "revoked_at")
    _show([{name: getattr(key, name) for name in columns} for key in found], columns, as_json)


async def _read(office: Office) -> Any:
    async with office.store.read() as connection:
        return await read_keys(connection, office.secrets.account_sid, office.seal)


@keys.command("rotate")
@click.argument("sid")
@click.pass_context
def rotate(ctx: click.Context, sid: str) -> None:
    """Make a key of the same kind and name as SID; both are valid until SID is revoked."""

    async def work(office: Office) -> ApiKey:
        old = (await _read(office)).keys.get(sid)
        if not old or old.revoked_at:
            raise click.ClickException(f"{sid}: no such key, or it is revoked")
        return await _add(office, old.friendly_name, old.kind)

    _say_key(_at_office(ctx, work))
    click.echo(f"{sid} stays valid. Revoke it when `keys list` says it was last used more than 24 h ago.", err=True)


@keys.command("revoke")
@click.argument("sid")
@click.option("--disconnect", is_flag=True, help="Also drop the participants that joined with it.")
@click.pass_context
def revoke(ctx: click.Context, sid: str, disconnect: bool) -> None:
    """Revoke a key for good; takes effect within a second."""

    async def work(office: Office) -> None:
        if sid not in (await _read(office)).keys:
            raise click.ClickException(f"{sid}: no such key")
        await office.store.write(revoke_key(sid, SystemClock().now(), disconnect=disconnect))

    _at_office(ctx, work)
    click.echo(f"{sid} is revoked")


# --- auth tokens ------------------------------------------------------------------------------------------------------


@click.group()
def tokens() -> None:
    """The account's auth token: authenticates REST requests and signs callbacks."""


@tokens.command("secondary")
@click.pass_context
def secondary(ctx: click.Context) -> None:
    """Make a secondary auth token and print it this once; both are valid, callbacks are signed with the primary."""
    token = new_auth_token()

    async def work(office: Office) -> None:
        account = office.secrets.account_sid
        now = SystemClock().now()
        await office.store.write(put_token(account, TokenSlot.SECONDARY, token, now, office.seal))

    _at_office(ctx, work)
    click.echo(json.dumps({"secondary_auth_token": token}))


@tokens.command("promote")
@click.pass_context
def promote(ctx: click.Context) -> None:
    """Make the secondary auth token the primary one; the old one is valid no more."""

    async def work(office: Office) -> None:
        token = (await _read(office)).tokens.get(TokenSlot.SECONDARY)
        if not token:
            raise click.ClickException("there is no secondary auth token; `tokens secondary` makes one")
        await office.store.write(promote_token(office.secrets.account_sid))
        # Programs beside the service read it there.
        credentials.save(ctx.obj.credentials_path, replace(office.secrets, auth_token=token))

    _at_office(ctx, work)
    click.echo("the secondary auth token is the primary one now")


# --- callbacks --------------------------------------------------------------------------------------------------------


@click.group()
def callbacks() -> None:
    """Events that wait to be delivered, and those that were given up."""


@callbacks.command("list")
@click.option("--room", help="SID of the only room to look at.")
@click.option("--state", type=click.Choice(["pending", "dead"]), help="Both unless given.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def list_callbacks(ctx: click.Context, room: str | None, state: str | None, as_json: bool) -> None:
    """List what waits and what is dead, by room, in order; the first 1000."""
    states = (DeliveryState(state),) if state else (DeliveryState.PENDING, DeliveryState.DEAD)

    async def work(office: Office) -> Any:
        async with office.store.read() as connection:
            return await list_letters(connection, room_sid=room, states=states, limit=_LIST_LIMIT)

    columns = ("event_id", "sink", "room_sid", "seq", "name", "state", "attempts", "next_at", "last_error")
    letters = _at_office(ctx, work)
    _show([{name: getattr(letter, name) for name in columns} for letter in letters], columns, as_json)


@callbacks.command("show")
@click.argument("event")
@click.pass_context
def show(ctx: click.Context, event: str) -> None:
    """Print an event and what became of it, as JSON."""

    async def work(office: Office) -> Any:
        async with office.store.read() as connection:
            return await letters_of_event(connection, event)

    letters = _at_office(ctx, work)
    if not letters:
        raise click.ClickException(f"{event}: no such event")
    click.echo(json.dumps([asdict(letter) for letter in letters], default=_plain, ensure_ascii=False, indent=2))


@callbacks.command("replay")
@click.argument("event", required=False)
@click.option("--room", help="SID of a room: all that is dead of it.")
@click.pass_context
def replay_dead(ctx: click.Context, event: str | None, room: str | None) -> None:
    """Let what is dead be tried again, with its old id, number and time."""
    _at_office(ctx, lambda office: office.store.write(replay(**_which(event, room))))
    click.echo("will be tried again")


@callbacks.command("drop")
@click.argument("event", required=False)
@click.option("--room", help="SID of a room: all that waits or is dead of it.")
@click.pass_context
def drop_undelivered(ctx: click.Context, event: str | None, room: str | None) -> None:
    """Forget what is pending or dead."""
    _at_office(ctx, lambda office: office.store.write(drop(**_which(event, room))))
    click.echo("dropped")


def _which(event: str | None, room: str | None) -> dict[str, str | None]:
    if bool(event) == bool(room):
        raise click.UsageError("name an event, or a room with --room")
    return {"event_id": event, "room_sid": room}


# --- settings ---------------------------------------------------------------------------------------------------------


@click.command("check-config")
@click.pass_context
def check_config(ctx: click.Context) -> None:
    """Check rooms.toml; every problem on a line of its own, exit code 78 where there is one."""
    place: Place = ctx.obj
    try:
        settings = place.settings()
        files = {
            "server.certificate": settings.server.certificate,
            "server.key": settings.server.key,
            "media.turn_secret_file": settings.media.turn_secret_file,
            "callbacks.ca_file": settings.callbacks.ca_file,
            "mqtt.ca_file": settings.mqtt.ca_file,
            "mqtt.credential_file": settings.mqtt.credential_file,
        }
        missing = [f"{key}: {path} cannot be read" for key, path in files.items() if path and not _is_readable(path)]
        if missing:
            raise ConfigurationError(missing)
        if place.credentials_path.exists():
            credentials.load(place.credentials_path)
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        raise SystemExit(78) from None
    click.echo("the configuration can be used")


def _is_readable(path: Path) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False


# --- what people and programs see -------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else str(value)


def _show(rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows, default=_plain))
        return
    # Here, since the service starts from this module too and draws no tables.
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*("" if row[name] is None else _plain(row[name]) for name in columns))
    Console().print(table)


VERBS = (account, keys, tokens, callbacks, check_config)
