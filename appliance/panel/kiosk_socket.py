"""The control socket, seen from the panel: one connection that watches, one short one for each command.

Unix socket, JSON lines (`surfaces/control_messages.py`). The watching connection lives on a thread of its own
and comes back by itself; a kiosk that accepts connections but says nothing counts as gone too.
"""

import base64
import binascii
import json
import logging
import socket
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from appliance.backoff import Backoff
from appliance.errors import CommandRefused, RemoteProtocolError
from appliance.panel.kiosk import KioskSilent, Outcome, Snapshot
from appliance.surfaces.control_messages import MAX_ANSWER_BYTES, ClaimedActor, Do, Get, Got, Watch, write_request

_log = logging.getLogger(__name__)

ACTOR = ClaimedActor(origin="page", role="operator")
"""Who asks. The panel cannot claim that someone is in the room (kiosk.md 18, 19)."""
PING_AFTER_S = 4.0
"""A watching connection that was quiet for so long is asked whether the kiosk still lives."""
OUTCOMES_KEPT = 64
RETRY_STEPS_S = (0.1, 0.3, 1.0, 2.0)


class KioskSocket:
    """Satisfies `Kiosk`. `start()` begins to watch, `close()` ends it; closing twice is fine."""

    def __init__(self, path: Path, answer_within_s: float = 3.0) -> None:
        self._path = path
        self._answer_within_s = answer_within_s
        self._changed = threading.Condition()
        self._snapshot = Snapshot()
        self._closed = threading.Event()
        self._watching: socket.socket | None = None
        self._thread = threading.Thread(target=self._watch_for_ever, name="kiosk-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._change(closing=True)
        watching = self._watching
        if watching is not None:
            _hang_up(watching)
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)

    # what the page asks

    def snapshot(self) -> Snapshot:
        with self._changed:
            return self._snapshot

    def wait_for_change(self, after: int, timeout_s: float) -> Snapshot:
        with self._changed:
            self._changed.wait_for(lambda: self._snapshot.version != after or self._snapshot.closing, timeout_s)
            return self._snapshot

    def command(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return self._ask(Do(id="1", name=name, arguments=arguments, actor=ACTOR))

    def get(self, what: Got) -> dict[str, Any]:
        return self._ask(Get(id="1", what=what))

    def picture(self) -> bytes:
        """Return what the kiosk's screen shows, as PNG."""
        try:
            return base64.b64decode(self.get("screen")["png"], validate=True)
        except (KeyError, TypeError, binascii.Error) as error:
            raise KioskSilent(f"the kiosk sent no picture: {error}") from error

    def _ask(self, request: Do | Get) -> dict[str, Any]:
        """Send one request on a connection of its own; return the result, raise CommandRefused or KioskSilent."""
        try:
            with self._connect() as connection:
                connection.sendall(write_request(request))
                reader = _Reader(connection)
                while (message := reader.read()) is not None:
                    if message.get("id") == request.id:
                        return _result(message)
        except (OSError, RemoteProtocolError) as error:
            raise KioskSilent(f"the kiosk does not answer on {self._path.name}: {error}") from error
        raise KioskSilent(f"the kiosk hung up on {self._path.name}")

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self._answer_within_s)
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            raise
        return connection

    # watching

    def _watch_for_ever(self) -> None:
        backoff = Backoff(Random(), RETRY_STEPS_S, least_s=0.05)
        while not self._closed.is_set():
            try:
                with self._connect() as connection:
                    self._watching = connection
                    self._watch(connection, backoff)
            except (OSError, RemoteProtocolError) as error:
                self._lost(str(error))
            finally:
                self._watching = None
            self._closed.wait(backoff.next_delay_s())

    def _watch(self, connection: socket.socket, backoff: Backoff) -> None:
        connection.sendall(write_request(Watch(id="watch")))
        asked = True
        reader = _Reader(connection)
        while not self._closed.is_set():
            connection.settimeout(self._answer_within_s if asked else PING_AFTER_S)
            try:
                message = reader.read()
            except TimeoutError:
                if asked:
                    raise
                connection.sendall(write_request(Get(id="ping", what="health")))
                asked = True
                continue
            if message is None:
                self._lost("it hung up")
                return
            asked = False
            self._take(message, backoff)

    def _take(self, message: Mapping[str, Any], backoff: Backoff) -> None:
        match message.get("event"):
            case "state" if isinstance(message.get("state"), dict):
                if not self.snapshot().answering:
                    _log.info("the kiosk answers")
                backoff.reset()
                self._change(state=message["state"], answering=True)
            case "outcome" if isinstance(message.get("command_id"), str):
                self._keep_outcome(message)
            case None if message.get("id") == "watch" and message.get("ok") is not True:
                raise RemoteProtocolError(f"watching was refused: {message.get('error')}")
            case _:
                pass  # the answer to a ping, or an event of a newer kiosk

    def _keep_outcome(self, message: Mapping[str, Any]) -> None:
        with self._changed:
            kept = self._snapshot.outcomes
            number = kept[-1].number + 1 if kept else 1
            document = {key: value for key, value in message.items() if key != "event"}
            outcome = Outcome(number=number, command_id=message["command_id"], document=document)
            self._change(outcomes=(*kept, outcome)[-OUTCOMES_KEPT:])

    def _lost(self, why: str) -> None:
        if self.snapshot().answering:
            _log.warning("the kiosk does not answer: %s", why)
            self._change(answering=False)

    def _change(self, **what: Any) -> None:
        with self._changed:
            self._snapshot = replace(self._snapshot, version=self._snapshot.version + 1, **what)
            self._changed.notify_all()


class _Reader:
    """JSON objects, one a line. What arrived of a line outlives a time-out."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._waiting = bytearray()

    def read(self) -> dict[str, Any] | None:
        """Return the next object, None when the other end hung up; raise TimeoutError, OSError, RemoteProtocolError."""
        while (end := self._waiting.find(b"\n")) < 0:
            if len(self._waiting) > MAX_ANSWER_BYTES:
                raise RemoteProtocolError("the kiosk sent a line without an end")
            chunk = self._connection.recv(65536)
            if not chunk:
                return None
            self._waiting += chunk
        line = bytes(self._waiting[:end])
        del self._waiting[: end + 1]
        return _message(line)


def _message(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError as error:
        raise RemoteProtocolError(f"the kiosk sent a line that is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise RemoteProtocolError("the kiosk sent a line that is not an object")
    return message


def _result(message: Mapping[str, Any]) -> dict[str, Any]:
    if message.get("ok") is True:
        result = message.get("result")
        return result if isinstance(result, dict) else {"items": result} if result is not None else {}
    error = message.get("error")
    if not isinstance(error, dict):
        raise RemoteProtocolError("the kiosk refused without saying why")
    raise CommandRefused(str(error.get("code", "internal")), str(error.get("message", "The kiosk refused.")))


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        _log.debug("the watching connection was closed already")
