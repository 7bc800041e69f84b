"""Asking the rooms service for a guest's link, over HTTP on loopback."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from appliance.kiosk.access import Access
from appliance.kiosk.inputs import GuestInvited, Input
from appliance.kiosk.invitations import Invitations, read_answer
from appliance.kiosk.settings import RoomsServiceSettings
from appliance.kiosk.state import Guest
from appliance.system_clock import SystemClock
from appliance.tokens import SigningKey, verify
from tests.support.conditions import until

KEY = {"account_sid": "AC" + "0" * 32, "api_key_sid": "SK" + "0" * 32, "api_key_secret": "s" * 32}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def service(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/join/{room}/invitations", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(url: str, folder: Path, room: str = "lobby") -> AsyncIterator[list[Input]]:
    secrets = folder / "keys.json"
    secrets.write_text(json.dumps(KEY))
    secrets.chmod(0o600)
    clock = SystemClock()
    access = Access(RoomsServiceSettings(url=url, credentials_file=secrets), "hall-2", clock.now)
    told: list[Input] = []
    task = asyncio.create_task(Invitations(url, room, access=access, tls=None, clock=clock, tell=told.append).run())
    try:
        yield told
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def test_the_link_is_asked_for_with_a_token_for_that_room_alone(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []

    async def invite(request: web.Request) -> web.StreamResponse:
        seen.append((request.match_info["room"], request.headers["Authorization"]))
        link = "https://rooms.example:8443/join/lobby#secret"
        return web.json_response({"link": link, "expires_at": "2999-01-01T00:00:00Z"}, status=201)

    async with service(invite) as url, asking(url, tmp_path) as told:
        await until("told", lambda: told)
    expected = Guest(link="https://rooms.example:8443/join/lobby#secret", address="rooms.example:8443/join/lobby")
    assert told == [GuestInvited(expected)]
    key = SigningKey(sid=KEY["api_key_sid"], secret=KEY["api_key_secret"], account_sid=KEY["account_sid"])  # type: ignore[arg-type]
    room, header = seen[0]
    token = verify(header.removeprefix("Bearer "), lambda _: key, now=datetime.now(UTC).timestamp())
    assert (room, token.room, token.identity) == ("lobby", "lobby", "hall-2")


async def test_a_room_with_odd_letters_is_asked_for_as_it_is(tmp_path: Path) -> None:
    seen: list[str] = []

    async def invite(request: web.Request) -> web.StreamResponse:
        seen.append(request.match_info["room"])
        return web.json_response({"link": "https://rooms.example/join/x#y"})

    async with service(invite) as url, asking(url, tmp_path, "Büro 3/4?") as told:
        await until("told", lambda: told)
    assert seen == ["Büro 3/4?"]


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_a_service_that_invites_nobody_leaves_no_link(tmp_path: Path, status: int) -> None:
    asked = asyncio.Event()

    async def refuse(_: web.Request) -> web.StreamResponse:
        asked.set()
        return web.Response(status=status)

    async with service(refuse) as url, asking(url, tmp_path) as told:
        await asyncio.wait_for(asked.wait(), 10)
    assert told == []


@pytest.mark.parametrize(
    "tree",
    [None, [], {}, {"link": 7}, {"link": "javascript:alert(1)"}, {"link": "https://x", "expires_at": "soon"}],
)
def test_an_answer_that_makes_no_sense_is_no_link(tree: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of several makers
        read_answer(tree)
