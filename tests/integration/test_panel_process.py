"""`room-kiosk panel` as it is started by users: gunicorn, its streams, its end."""

import http.client
import json
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support import kiosk_documents
from tests.support.fake_kiosk import PNG, FakeKiosk
from tests.support.processes import Program, appliance, wait_for


@pytest.fixture
def kiosk(tmp_path: Path) -> Iterator[FakeKiosk]:
    with FakeKiosk(tmp_path / "control.sock") as running:
        yield running


@pytest.fixture
def panel(kiosk: FakeKiosk, tmp_path: Path) -> Iterator[Program]:
    arguments = appliance("panel", "--socket", str(kiosk.path), "--bind", "127.0.0.1:0", "--max-streams", "3")
    program = Program("panel", arguments, tmp_path)
    program.arguments += ["--ready-file", str(program.ready_path)]
    with program:
        wait_for("the panel hears the kiosk", lambda: get(program, "/healthz")[0] == 200)
        yield program


def get(panel: Program, path: str, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(panel.ready["url"] + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


class Stream:
    """One open event stream."""

    def __init__(self, panel: Program) -> None:
        address = urlsplit(panel.ready["url"])
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        self._connection.request("GET", "/api/v1/events")
        self.answer = self._connection.getresponse()

    def next(self) -> tuple[str, Any]:
        """Return the next event and its data."""
        name = ""
        while True:
            line = self.answer.readline().decode().rstrip("\n")
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                return name, json.loads(line.removeprefix("data: "))

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


def test_the_stream_tells_a_change_as_it_happens(kiosk: FakeKiosk, panel: Program) -> None:
    with closing(Stream(panel)) as stream:
        assert stream.next() == ("state", kiosk_documents.idle())

        kiosk.become(kiosk_documents.muted())

        assert stream.next() == ("state", kiosk_documents.muted())


def test_streams_never_use_up_the_threads_that_answer(panel: Program) -> None:
    streams = [Stream(panel) for _ in range(4)]

    assert [stream.answer.status for stream in streams] == [200, 200, 200, 503]
    assert streams[3].answer.headers["Retry-After"] == "15"
    assert get(panel, "/api/v1/state")[0] == 200
    for stream in streams:
        stream.close()


def test_connections_that_say_nothing_take_no_thread(panel: Program) -> None:
    address = urlsplit(panel.ready["url"])
    silent = [socket.create_connection((address.hostname, address.port)) for _ in range(40)]

    status, _ = get(panel, "/healthz")

    for connection in silent:
        connection.close()
    assert status == 200


def test_half_a_request_is_not_waited_for_for_ever(panel: Program) -> None:
    address = urlsplit(panel.ready["url"])
    stalled = [socket.create_connection((address.hostname, address.port), timeout=20) for _ in range(20)]
    for connection in stalled:
        connection.sendall(b"GET /healthz HT")  # and no more: more of them than there are threads

    status, _ = get(panel, "/healthz")

    assert status == 200
    assert stalled[0].recv(4096) == b""  # hung up on
    for connection in stalled:
        connection.close()
    assert "Traceback" not in panel.tail(200)


def test_the_end_is_orderly_and_quick_while_streams_are_open(panel: Program) -> None:
    with closing(Stream(panel)) as stream:
        stream.next()
        panel.kill(signal.SIGTERM)

        assert panel.process is not None
        assert panel.process.returncode == 0
        assert stream.answer.read().strip() == b""


def test_the_picture_of_the_screen_passes_through(panel: Program) -> None:
    assert get(panel, "/screen.png") == (200, PNG)


def test_a_kiosk_that_dies_is_said_and_its_return_too(kiosk: FakeKiosk, panel: Program) -> None:
    with closing(Stream(panel)) as stream:
        stream.next()

        kiosk.stop()
        assert stream.next() == ("kiosk", {"answers": False})
        assert get(panel, "/healthz")[0] == 503

        kiosk.start()
        assert stream.next() == ("kiosk", {"answers": True})
        assert stream.next() == ("state", kiosk_documents.idle())


def test_a_hostile_host_is_refused_by_the_whole_process(panel: Program) -> None:
    status, body = get(panel, "/api/v1/state", Host="rebound.example")

    assert (status, json.loads(body)["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("bind", "says"),
    [("0.0.0.0:0", "--open-to-network"), ("nonsense", "127.0.0.1:8090"), ("127.0.0.1:99999", "is not an address")],
)
def test_an_address_that_cannot_be_used_is_explained(tmp_path: Path, bind: str, says: str) -> None:
    arguments = appliance("panel", "--socket", str(tmp_path / "none.sock"), "--bind", bind)
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)

    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_panel_leaves_nobody_behind_on_its_port(panel: Program) -> None:
    address = urlsplit(panel.ready["url"])
    with closing(Stream(panel)) as stream:
        stream.next()
        panel.kill()

        def refused() -> bool:
            try:
                with socket.create_connection((address.hostname, address.port), timeout=1):
                    return False
            except ConnectionRefusedError:
                return True

        wait_for("the worker has ended too", refused)
