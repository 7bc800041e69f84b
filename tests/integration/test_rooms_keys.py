"""API keys and auth tokens, as `room-kiosk rooms` changes them beside a running service."""

import asyncio
import json
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from appliance.errors import RoomError
from appliance.rooms import key_ring
from appliance.rooms.conversation import Failed
from appliance.rooms.key_ring import KeyRing
from appliance.rooms.store import keys
from appliance.sids import KeySid
from appliance.tokens import KeyKind, SigningKey, mint
from tests.support.conditions import until
from tests.support.processes import appliance
from tests.support.rooms_admin import administer
from tests.support.rooms_running import Client, RunningRooms, running_rooms


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


@asynccontextmanager
async def following_keys(folder: Path) -> AsyncIterator[RunningRooms]:
    """Run the service, and let it follow changes of its keys."""
    async with running_rooms(folder) as running:
        following = asyncio.create_task(running.service.watch_keys())
        try:
            yield running
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def status(running: RunningRooms, user: str, password: str, method: str = "GET") -> int:
    headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.request(method, f"{running.url}/v1/Rooms") as answer,
    ):
        return answer.status


def client_with(running: RunningRooms, key: dict[str, Any], identity: str) -> Client:
    signing = SigningKey(sid=KeySid(key["sid"]), secret=key["secret"], account_sid=running.credentials.account_sid)
    return Client(running.service, mint(signing, identity, now=running.clock.now().timestamp()))


async def test_a_key_that_is_added_opens_rest_and_rooms_without_a_restart(tmp_path: Path) -> None:
    async with following_keys(tmp_path) as running:
        key = json.loads(await administer(tmp_path, "keys", "add", "--name", "app server"))
        await until("the service knows it", lambda: running.service.keys.find_key(key["sid"]))

        assert await status(running, key["sid"], key["secret"]) == 200
        assert await status(running, key["sid"], key["secret"][::-1]) == 401
        assert (await client_with(running, key, "ann").join("lobby")).room_name == "lobby"
        listed = json.loads(await administer(tmp_path, "keys", "list", "--json"))

    assert [each["friendly_name"] for each in listed] == ["made at the first start", "app server"]
    assert key["secret"] not in json.dumps(listed)


async def test_secrets_do_not_stand_in_the_database(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        key = json.loads(await administer(tmp_path, "keys", "add"))
        token = running.credentials.auth_token
    with sqlite3.connect(tmp_path / "rooms.sqlite3") as connection:
        dump = "\n".join(connection.iterdump())
    connection.close()

    assert key["sid"] in dump
    assert key["secret"] not in dump
    assert token not in dump


async def test_a_revoked_key_is_refused_and_who_joined_with_it_stays(tmp_path: Path) -> None:
    async with following_keys(tmp_path) as running:
        old = json.loads(await administer(tmp_path, "keys", "add", "--name", "app"))
        await until("the service knows it", lambda: running.service.keys.find_key(old["sid"]))
        ann = client_with(running, old, "ann")
        await ann.join("lobby")
        new = json.loads(await administer(tmp_path, "keys", "rotate", old["sid"]))
        await administer(tmp_path, "keys", "revoke", old["sid"])
        await until("it is revoked", lambda: not known(running.service.keys, old["sid"]).active)
        await until("the new one is known", lambda: running.service.keys.find_key(new["sid"]))

        assert await status(running, old["sid"], old["secret"]) == 401
        assert await status(running, new["sid"], new["secret"]) == 200
        with pytest.raises(RoomError) as caught:
            await client_with(running, old, "bob").join("lobby")
        assert caught.value.code == 20103
        assert ann.failures == []


def known(keys: KeyRing, sid: str) -> SigningKey:
    key = keys.find_key(sid)
    assert key
    return key


async def test_a_revocation_that_disconnects_drops_those_who_joined_with_the_key(tmp_path: Path) -> None:
    async with following_keys(tmp_path) as running:
        key = json.loads(await administer(tmp_path, "keys", "add"))
        await until("the service knows it", lambda: running.service.keys.find_key(key["sid"]))
        ann, bob = client_with(running, key, "ann"), running.client("bob")
        await bob.join("lobby")
        await ann.join("lobby")

        await administer(tmp_path, "keys", "revoke", key["sid"], "--disconnect")
        await until("ann is told", lambda: ann.failures)

    assert [message.code for message in ann.told if isinstance(message, Failed)] == [20103]
    assert bob.failures == []


async def test_a_restricted_key_reads_only_and_signs_nothing(tmp_path: Path) -> None:
    async with following_keys(tmp_path) as running:
        key = json.loads(await administer(tmp_path, "keys", "add", "--kind", "restricted"))
        await until("the service knows it", lambda: running.service.keys.find_key(key["sid"]))

        assert await status(running, key["sid"], key["secret"]) == 200
        assert await status(running, key["sid"], key["secret"], "POST") == 403
        with pytest.raises(RoomError) as caught:
            await client_with(running, key, "ann").join("lobby")

    assert caught.value.code == 20103


async def test_a_main_key_does_all_that_a_standard_one_does_since_keys_are_no_resource(tmp_path: Path) -> None:
    async with following_keys(tmp_path) as running:
        key = json.loads(await administer(tmp_path, "keys", "add", "--kind", "main"))
        await until("the service knows it", lambda: running.service.keys.find_key(key["sid"]))

        assert await status(running, key["sid"], key["secret"]) == 200
        assert await status(running, key["sid"], key["secret"], "POST") == 201
        assert (await client_with(running, key, "ann").join("lobby")).room_name == "lobby"


async def test_a_revoked_key_stays_revoked_even_the_first_one(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        first = running.credentials
        await administer(tmp_path, "keys", "revoke", first.api_key_sid)
    async with running_rooms(tmp_path) as running:
        assert await status(running, first.api_key_sid, first.api_key_secret) == 401
        with pytest.raises(RoomError) as caught:
            await running.client("ann").join("lobby")

    assert caught.value.code == 20103


async def test_a_secondary_auth_token_works_beside_the_primary_until_it_is_promoted(tmp_path: Path) -> None:
    async with following_keys(tmp_path) as running:
        keys, first = running.service.keys, running.credentials.auth_token
        made = json.loads(await administer(tmp_path, "tokens", "secondary"))["secondary_auth_token"]
        await until("it is known", lambda: keys.kind_of(keys.account_sid, made))
        assert await status(running, keys.account_sid, first) == 200
        assert await status(running, keys.account_sid, made) == 200
        assert keys.primary_token == first  # callbacks are still signed with it

        await administer(tmp_path, "tokens", "promote")
        await until("callbacks are signed with it", lambda: keys.primary_token == made)
        assert await status(running, keys.account_sid, first) == 401

    assert json.loads((tmp_path / "credentials.json").read_text())["auth_token"] == made
    async with running_rooms(tmp_path) as again:
        assert again.service.keys.primary_token == made


async def test_when_a_key_was_last_used_is_kept(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        credentials = running.credentials
        assert await status(running, credentials.api_key_sid, credentials.api_key_secret) == 200
        running.service.keys.close(running.store)
        await until_written(running)
        (listed,) = json.loads(await administer(tmp_path, "keys", "list", "--json"))

    assert listed["last_used_at"] is not None
    assert listed["kind"] == KeyKind.STANDARD


async def until_written(running: RunningRooms) -> None:
    async def nothing(connection: Any) -> None:
        return None

    await running.store.write(nothing)


async def test_without_credentials_the_administrator_is_told_so(tmp_path: Path) -> None:
    assert "credentials.json" in await administer(tmp_path / "nothing", "keys", "list", code=78)


async def test_what_is_wrong_with_the_settings_is_told_line_by_line(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text("[tokens]\nleeway_s = 30\n")
    bad.write_text("[tokens]\nleeway_s = 900\n[server]\nhtp = 1\n")

    assert "can be used" in await administer(tmp_path, "check-config")
    command = appliance("rooms", "--config", str(bad), "check-config")
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 78
    assert [f"bad.toml:{line}" in done.stderr for line in (2, 4)] == [True, True]


async def test_files_that_the_settings_name_have_to_be_there(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    config = tmp_path / "rooms.toml"
    config.write_text(
        f'[server]\ncertificate = "{gone}.crt"\nkey = "{gone}.key"\n[callbacks]\nca_file = "{gone}.ca"\n'
        f'[mqtt]\nca_file = "{gone}.mqtt"\ncredential_file = "{gone}.login"\n'
        f'[media]\nturn_secret_file = "{gone}.turn"\nturn_urls = ["turn:turn.example"]\n'
    )
    command = appliance("rooms", "--config", str(config), "check-config")
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 78
    assert sorted(line.split(":")[0] for line in done.stderr.splitlines()) == [
        "callbacks.ca_file",
        "media.turn_secret_file",
        "mqtt.ca_file",
        "mqtt.credential_file",
        "server.certificate",
        "server.key",
    ]


async def test_keys_are_read_anew_only_where_something_else_opens_the_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_rooms(tmp_path) as running:
        ring, store, sid = running.service.keys, running.store, running.credentials.api_key_sid
        reads: list[str] = []

        async def read_keys(connection: Any, account_sid: str, seal: Any) -> Any:
            reads.append(account_sid)
            return await keys.read_keys(connection, account_sid, seal)

        monkeypatch.setattr(key_ring, "read_keys", read_keys)
        now = running.clock.now()

        await store.write(keys.note_use({sid: now}))
        for _ in range(2):
            await ring.look(store, lambda _: None)
        assert (reads, ring.signing_key is None) == ([], False)

        await store.write(keys.revoke_key(sid, now, disconnect=False))
        for _ in range(2):
            await ring.look(store, lambda _: None)
        assert (len(reads), ring.signing_key is None) == (1, True)

        await store.write(keys.suspend_account(ring.account_sid, now))
        await ring.look(store, lambda _: None)
        assert (len(reads), ring.suspended) == (2, True)
