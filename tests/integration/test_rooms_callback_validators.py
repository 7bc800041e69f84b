"""The validators of both unmodified libraries judge what the service really sends (callbacks.md 21, check 1)."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from twilio.request_validator import RequestValidator

from appliance.rooms.callbacks import HttpSink
from appliance.rooms.credentials import new_auth_token
from appliance.rooms.outbox import Outbox
from appliance.rooms.room import RoomSettings
from appliance.rooms.settings import CallbackSettings, networks
from appliance.rooms.store.keys import Seal, TokenSlot, promote_token, put_token
from appliance.system_clock import SystemClock
from tests.support.conditions import until
from tests.support.programs_found import program
from tests.support.rooms_running import RunningRooms, microphone, running_rooms

NODE = Path(__file__).parents[1] / "e2e" / "node"
FORMS = ("", "/", "/hook", "/hook/?tenant=a%20b&x=%C3%A9", "?tenant=1", "/hook#ct=1000&rc=2")


@dataclass(frozen=True)
class Judged:
    """A request as a receiver hands it to a validator."""

    url: str
    params: dict[str, str]
    signature: str
    event: str


@dataclass
class Receiver:
    base: str
    heard: list[Judged]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver("", [])

    async def take(request: web.Request) -> web.Response:
        params = dict(parse_qsl((await request.read()).decode(), keep_blank_values=True))
        event = params.get("StatusCallbackEvent") or request.query["StatusCallbackEvent"]
        url = f"http://{request.host}{request.raw_path}"
        receiver.heard.append(Judged(url, params, request.headers["X-Twilio-Signature"], event))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@asynccontextmanager
async def delivering(running: RunningRooms) -> AsyncIterator[None]:
    rules = CallbackSettings()
    keys = running.service.keys
    async with HttpSink(
        lambda: keys.primary_token, SystemClock(), allow=networks(rules.allow), deny=networks(rules.deny)
    ) as http:
        outbox = Outbox(running.store, http, SystemClock(), Random())
        running.service.on_events(outbox.wake)
        task = asyncio.create_task(outbox.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def collected(folder: Path) -> tuple[str, list[Judged]]:
    """Let a whole story be told to every form of address by both methods; return the auth token and what arrived."""
    async with receiving() as receiver, running_rooms(folder) as running, delivering(running):
        for number, (form, method) in enumerate((form, method) for form in FORMS for method in ("POST", "GET")):
            settings = RoomSettings(status_callback=receiver.base + form, status_callback_method=method)
            await running.service.create_room(running.credentials.account_sid, f"r {number} é", settings)
            ann = running.client("kiosk 7 é & +")
            await ann.join(f"r {number} é", microphone())
        await until("all is told", lambda: len(receiver.heard) == 3 * 2 * len(FORMS))
        return running.credentials.auth_token, receiver.heard


async def test_the_validators_of_both_libraries_accept_every_request_and_no_changed_one(tmp_path: Path) -> None:
    token, heard = await collected(tmp_path)
    changed = [
        replace(each, params=each.params | {"RoomStatus": "completed"})
        if each.params
        else replace(each, url=each.url.replace("RoomStatus=in-progress", "RoomStatus=completed"))
        for each in heard
    ]

    validator = RequestValidator(token)
    assert all(validator.validate(each.url, each.params, each.signature) for each in heard)
    assert not any(validator.validate(each.url, each.params, each.signature) for each in changed)
    if not (NODE / "node_modules" / "twilio").exists():
        pytest.skip("Node's twilio is not there: ./run test fetches it")
    assert await asyncio.to_thread(judged_by_node, token, heard) == [True] * len(heard)
    assert await asyncio.to_thread(judged_by_node, token, changed) == [False] * len(heard)


def judged_by_node(token: str, requests: Sequence[Judged]) -> Any:
    given = [{"url": each.url, "params": each.params, "signature": each.signature} for each in requests]
    done = subprocess.run(
        [program("node"), "validate.mjs"],
        cwd=NODE,
        input=json.dumps({"authToken": token, "requests": given}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_a_promoted_auth_token_signs_the_next_attempt(tmp_path: Path) -> None:
    async with receiving() as receiver, running_rooms(tmp_path) as running, delivering(running):
        account, old, new = running.credentials.account_sid, running.credentials.auth_token, new_auth_token()
        settings = RoomSettings(status_callback=f"{receiver.base}/hook")
        await running.service.create_room(account, "one", settings)
        await until("it is told", lambda: len(receiver.heard) == 1)
        seal = Seal(running.credentials.service_secret)
        await running.store.write(put_token(account, TokenSlot.SECONDARY, new, running.clock.now(), seal))
        await running.store.write(promote_token(account))
        await running.service.keys.look(running.store, lambda sid: None)
        await running.service.create_room(account, "two", settings)
        await until("it is told too", lambda: len(receiver.heard) == 2)

    for each, token in zip(receiver.heard, (old, new), strict=True):
        assert RequestValidator(token).validate(each.url, each.params, each.signature)
