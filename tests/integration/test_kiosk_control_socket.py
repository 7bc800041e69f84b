"""The control socket over a real Unix socket."""

import asyncio
import base64
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import ConfigurationError
from appliance.kiosk.runner import Kiosk
from appliance.kiosk.state import Phase
from appliance.surfaces.control_socket import ControlSocket
from appliance.system_clock import SystemClock
from tests.support.conditions import until
from tests.support.kiosk_running import ObedientStage, running_kiosk

PNG = b"\x89PNG picture"


class Client:
    """Speaks JSON lines."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, line: bytes) -> None:
        self._writer.write(line + b"\n")
        await self._writer.drain()

    async def read(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            line = await self._reader.readline()
        assert line, "the kiosk hung up"
        tree: dict[str, Any] = json.loads(line)
        return tree

    async def ask(self, **request: Any) -> dict[str, Any]:
        await self.send(json.dumps({"id": "1", **request}).encode())
        while (tree := await self.read()).get("id") != "1":
            continue
        return tree

    async def until_state(self, **expected: Any) -> dict[str, Any]:
        while True:
            tree = await self.read()
            state: dict[str, Any] = tree.get("state", {})
            if tree.get("event") == "state" and expected.items() <= state.items():
                return state

    async def at_end(self) -> bool:
        async with asyncio.timeout(10):
            return await self._reader.read() == b""

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def serving(path: Path, *, panel: bool = True) -> AsyncIterator[tuple[Kiosk, ObedientStage]]:
    async def picture() -> bytes:
        return PNG

    async with running_kiosk() as (kiosk, stage):
        surface = ControlSocket(
            path,
            clock=SystemClock(),
            panel_uids=frozenset({os.getuid()} if panel else ()),
            picture=picture,
            unsent_limit_bytes=100_000,
        )
        task = asyncio.create_task(surface.run(kiosk))
        await until("the socket is there", lambda: surface.listening.is_set() or task.done())
        try:
            yield kiosk, stage
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()


@asynccontextmanager
async def client(path: Path) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_unix_connection(str(path), limit=1 << 20)
    talking = Client(reader, writer)
    try:
        yield talking
    finally:
        talking.close()
        await writer.wait_closed()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


PAGE = {"origin": "page", "role": "operator", "account": None}


async def test_who_watches_sees_the_state_now_and_after_each_change(path: Path) -> None:
    async with serving(path), client(path) as watcher, client(path) as other:
        assert await watcher.ask(watch="state") == {"id": "1", "ok": True}
        assert (await watcher.read())["state"]["state"] == "idle"
        await other.ask(do="room.join", arguments={"room": "board"}, actor=PAGE)
        state = await watcher.until_state(state="in_room")
        assert state["room"]["name"] == "board"
        assert state["people"][0]["name"] == "anna"


async def test_a_command_is_answered_with_an_id_whose_outcome_follows(path: Path) -> None:
    async with serving(path), client(path) as page:
        await page.ask(watch="state")
        answer = await page.ask(do="room.join", actor=PAGE)
        assert answer["ok"]
        command_id = answer["result"]["command_id"]
        while (tree := await page.read()).get("event") != "outcome":
            continue
        assert (tree["command_id"], tree["ok"]) == (command_id, True)


async def test_a_refusal_says_why(path: Path) -> None:
    async with serving(path) as (kiosk, _), client(path) as page:
        await page.ask(do="room.join", actor=PAGE)
        await until("in the room", lambda: kiosk.state.phase is Phase.IN_ROOM)
        answer = await page.ask(do="mic.unmute", actor=PAGE)
        assert answer["error"]["code"] == "policy_denied"


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b'{"id":"1","do":"room.join","arguments":{"rooom":"x"}}',
        b'{"id":"1","do":"room.join","arguments":{"room":7}}',
        b'{"id":"1","do":"speaker.set","arguments":{"volume":101}}',
        b'{"id":"1","do":"speaker.set"}',
        b'{"id":"1","do":"front_panel.press","arguments":{"button":"mute"}}',
        b'{"id":"1","do":"mic.mute","actor":{"origin":"heaven"}}',
        b'{"id":"1","get":"secrets"}',
    ],
)
async def test_a_bad_line_is_refused_changes_nothing_and_the_next_is_heard(path: Path, line: bytes) -> None:
    async with serving(path) as (kiosk, stage), client(path) as script:
        before = kiosk.state
        await script.send(line)
        answer = await script.read()
        assert (answer["ok"], answer["error"]["code"]) == (False, "invalid_request")
        assert answer["error"]["message"]
        assert (kiosk.state, stage.done) == (before, [])
        assert (await script.ask(get="state"))["ok"]


async def test_an_unknown_command_is_told_apart(path: Path) -> None:
    async with serving(path), client(path) as script:
        assert (await script.ask(do="room.explode"))["error"]["code"] == "unknown_command"


async def test_a_line_that_never_ends_ends_the_connection(path: Path) -> None:
    async with serving(path), client(path) as script:
        await script.send(b"x" * 100_000)
        assert (await script.read())["error"]["code"] == "too_large"
        assert await script.at_end()


async def test_nobody_but_the_panel_may_say_who_asks(path: Path) -> None:
    async with serving(path, panel=False) as (kiosk, _), client(path) as script:
        await script.ask(do="room.join", actor=PAGE)
        await until("in the room", lambda: kiosk.state.phase is Phase.IN_ROOM)
        assert kiosk.state.origin == "cli"


@pytest.mark.parametrize("origin", ["button", "touch", "system", "mqtt"])
async def test_even_the_panel_cannot_claim_that_somebody_is_in_the_room(path: Path, origin: str) -> None:
    async with serving(path), client(path) as page:
        answer = await page.ask(do="room.join", actor={"origin": origin, "role": "admin"})
        assert answer["error"]["code"] == "policy_denied"


async def test_a_viewer_of_the_page_may_only_look(path: Path) -> None:
    async with serving(path), client(path) as page:
        answer = await page.ask(do="room.join", actor={"origin": "page", "role": "viewer"})
        assert answer["error"]["code"] == "policy_denied"
        assert (await page.ask(get="participants"))["result"] == {"participants": []}


async def test_the_virtual_front_panel_is_pressed_through_the_same_door(path: Path) -> None:
    async with serving(path) as (_, stage), client(path) as page:
        for action in ("press", "release"):
            await page.ask(do="front_panel.press", arguments={"button": "mute", "action": action}, actor=PAGE)
        assert stage.moves() == [("mute", True), ("mute", False)]


async def test_the_screens_picture_is_given(path: Path) -> None:
    async with serving(path), client(path) as page:
        answer = await page.ask(get="screen")
        assert base64.b64decode(answer["result"]["png"]) == PNG


async def test_the_socket_is_for_owner_and_group_alone(path: Path) -> None:
    async with serving(path):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    assert not list(path.parent.glob("*.sock"))


async def test_a_socket_that_a_dead_kiosk_left_is_taken_over(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    async with serving(path), client(path) as script:
        assert (await script.ask(get="state"))["ok"]


async def test_a_second_kiosk_on_the_same_path_is_told_so_and_the_first_goes_on(path: Path) -> None:
    async with serving(path), client(path) as script:
        with pytest.raises(ConfigurationError, match="another kiosk"):
            async with serving(path):
                await asyncio.wait_for(asyncio.Event().wait(), 10)
        assert (await script.ask(get="state"))["ok"]


async def test_a_client_that_does_not_read_is_hung_up_on(path: Path) -> None:
    async with serving(path) as (kiosk, _):
        with socket.socket(socket.AF_UNIX) as lazy:
            lazy.connect(str(path))
            lazy.sendall(b'{"id":"1","watch":"state"}\n')
            async with client(path) as page:
                for volume in range(1000):
                    await page.ask(do="speaker.set", arguments={"volume": volume % 100}, actor=PAGE)
            lazy.settimeout(10)
            await asyncio.to_thread(_drain, lazy)
        assert kiosk.state.phase is Phase.IDLE


def _drain(lazy: socket.socket) -> None:
    """Read until the other end hangs up."""
    try:
        while lazy.recv(1 << 20):
            continue
    except ConnectionResetError:
        return
