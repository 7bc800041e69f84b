"""`room-kiosk rooms` and `room-kiosk token` as processes."""

import asyncio
import base64
import json
import signal
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest

from tests.support.conditions import until
from tests.support.mosquitto import Mosquitto
from tests.support.mqtt_listener import MqttListener
from tests.support.processes import Program, appliance

STOP_WITHIN_S = 10.0  # it promises 3 s; a loaded test machine gets more
ANYWHERE = ("--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--media-port", "0", "--advertise", "127.0.0.1")


def program(folder: Path, *arguments: str, name: str = "rooms") -> Program:
    found = Program(name, appliance("rooms", "--state-dir", str(folder / "state"), *arguments), folder)
    found.arguments += ["--ready-file", str(found.ready_path)]
    return found


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Program]:
    with program(tmp_path, *ANYWHERE) as running:
        yield running


def keys(rooms: Program) -> dict[str, str]:
    found: dict[str, str] = json.loads(Path(rooms.ready["credentials_file"]).read_text())
    return found


def logged_in(rooms: Program) -> aiohttp.ClientSession:
    """A session that authenticates with the API key."""
    pair = f"{keys(rooms)['api_key_sid']}:{keys(rooms)['api_key_secret']}"
    return aiohttp.ClientSession(headers={"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"})


def mint(rooms: Program, *more: str) -> str:
    command = appliance("token", "--identity", "ann", "--credentials", rooms.ready["credentials_file"], *more)
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


async def test_it_says_where_it_listens_and_keeps_its_secrets(rooms: Program) -> None:
    ready = rooms.ready
    state = Path(ready["credentials_file"]).parent
    async with logged_in(rooms) as http, http.get(f"{ready['http']}/v1/Rooms") as answer:
        assert (answer.status, (await answer.json())["rooms"]) == (200, [])

    assert ready["media_port"] > 0
    secret = [path.name for path in state.iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077 == 0]
    assert {"credentials.json", "https.key"} <= set(secret)
    log = rooms.log_path.read_text()
    assert ready["http"] in log
    assert ready["credentials_file"] in log
    assert not any(keys(rooms)[name] in log for name in ("auth_token", "api_key_secret", "service_secret"))


async def test_https_has_a_certificate_of_its_own_for_this_machine(rooms: Program) -> None:
    state = Path(rooms.ready["credentials_file"]).parent
    trust = ssl.create_default_context(cafile=str(state / "https.crt"))
    async with aiohttp.ClientSession() as http, http.get(f"{rooms.ready['https']}/healthz", ssl=trust) as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "ok"})


async def test_a_stop_closes_sockets_with_1012_in_time(rooms: Program) -> None:
    token = mint(rooms, "--room", "lobby")
    body = {"type": "ice", "version": 1, "edge": "roaming", "token": token}
    hello = {"type": "hello", "version": 2, "id": "1", "timeout": 5000, "body": body}
    assert rooms.process
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{rooms.ready['http']}/signaling") as link:
        await link.send_str(json.dumps(hello))
        kinds = [(await link.receive_json(timeout=10))["type"] for _ in range(2)]
        rooms.process.send_signal(signal.SIGTERM)
        while (message := await link.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
            pass
        code = link.close_code
    await asyncio.to_thread(rooms.process.wait, STOP_WITHIN_S)

    assert kinds == ["welcome", "msg"]
    assert message.type is aiohttp.WSMsgType.CLOSE
    assert (code, rooms.process.returncode) == (1012, 0)


async def test_rooms_and_keys_outlive_the_process(rooms: Program) -> None:
    before = keys(rooms)
    async with logged_in(rooms) as http:
        async with http.post(f"{rooms.ready['http']}/v1/Rooms", data={"UniqueName": "lobby"}) as answer:
            made = await answer.json()
        rooms.kill()
        rooms.start()
        async with http.get(f"{rooms.ready['http']}/v1/Rooms/lobby") as answer:
            found = await answer.json()

    assert (found["sid"], found["status"]) == (made["sid"], "in-progress")
    assert keys(rooms) == before


def finished(folder: Path, *arguments: str) -> tuple[int, str]:
    command = appliance("rooms", "--state-dir", str(folder / "state"), *arguments)
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=folder, check=False)
    return done.returncode, done.stderr


def test_a_port_in_use_is_a_clear_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, error = finished(tmp_path, "--http", f"127.0.0.1:{port}", "--https", "", "--media-port", "0")

    assert code == 78
    assert f'server.http = "127.0.0.1:{port}": Address already in use; choose another address or port' in error
    assert "Traceback" not in error


def test_with_port_fallback_the_next_free_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket(type=socket.SOCK_DGRAM) as media:
        media.bind(("0.0.0.0", 0))
        port, media_port = taken.getsockname()[1], media.getsockname()[1]
        arguments = ("--http", f"127.0.0.1:{port}", "--https", "", "--media-port", str(media_port), "--port-fallback")
        with program(tmp_path, *arguments) as rooms:
            ready = rooms.ready

    assert int(ready["http"].rpartition(":")[2]) > port
    assert ready["media_port"] > media_port
    assert "https" not in ready


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "[server]\nhtp = 1\n[tokens]\nleeway_s = 900\n",
            ["rooms.toml:2: server.htp", "rooms.toml:4: tokens.leeway_s"],
        ),
        ("[server\n", ["rooms.toml:1: not valid TOML"]),
    ],
)
def test_a_file_that_cannot_be_used_is_told_line_by_line(tmp_path: Path, text: str, problems: list[str]) -> None:
    (tmp_path / "rooms.toml").write_text(text)

    code, error = finished(tmp_path, "--config", str(tmp_path / "rooms.toml"))

    assert code == 78
    assert [line for line in problems if line in error] == problems
    assert not (tmp_path / "state").exists()


def test_credentials_that_others_can_read_stop_the_start(tmp_path: Path) -> None:
    with program(tmp_path, *ANYWHERE):
        pass
    (tmp_path / "state" / "credentials.json").chmod(0o644)

    code, error = finished(tmp_path, *ANYWHERE)

    assert code == 78
    assert "readable by others (mode 0644); expected 0600" in error


def test_the_service_accepts_the_tokens_that_are_minted_beside_it(rooms: Program) -> None:
    keys_of_service = keys(rooms)
    claims = jwt.decode(mint(rooms, "--room", "lobby"), keys_of_service["api_key_secret"], algorithms=["HS256"])

    assert claims["grants"] == {"identity": "ann", "video": {"room": "lobby"}}
    assert (claims["iss"], claims["sub"]) == (keys_of_service["api_key_sid"], keys_of_service["account_sid"])


@pytest.mark.parametrize(
    ("wish", "answer"),
    [
        (["--identity", "x" * 129], "Participant identity is too long"),
        (["--identity", "ann", "--room", "x" * 129], "Room name is too long"),
    ],
)
def test_a_token_that_could_open_nothing_is_refused(rooms: Program, wish: list[str], answer: str) -> None:
    command = appliance("token", *wish, "--credentials", rooms.ready["credentials_file"])
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert answer in done.stderr


@pytest.mark.broker
async def test_its_presence_is_retained_at_the_broker(tmp_path: Path) -> None:
    topic_filter = "room-kiosk-rooms/v1/service/+/status"
    with Mosquitto(tmp_path / "broker") as mosquitto, MqttListener(mosquitto.port, topic_filter) as listener:

        def status() -> Any:
            return json.loads(listener.messages[-1].payload)["status"] if listener.messages else None

        with program(tmp_path, *ANYWHERE, "--mqtt-url", mosquitto.url) as rooms:
            await until("it is online", lambda: status() == "online")
            assert listener.messages[-1].retained
            await asyncio.to_thread(rooms.kill)
            await until("the will says so", lambda: status() == "offline")
            await asyncio.to_thread(rooms.start)
            await until("it is online again", lambda: status() == "online")
        await until("it says goodbye", lambda: status() == "offline")
