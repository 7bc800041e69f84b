"""A kiosk that is only a conversation: the control socket's other end, and the same in memory for unit tests."""

import base64
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from appliance.errors import CommandRefused
from appliance.panel.kiosk import KioskSilent, Outcome, Snapshot
from tests.support import kiosk_documents

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGD4DwABBAEAX+XDSwAAAABJRU5ErkJggg=="
)
"""One pixel."""

Rule = Callable[[dict[str, Any], str, Mapping[str, Any]], dict[str, Any]]


def obey(state: dict[str, Any], name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state after a command, as a kiosk would show it, if roughly; raise CommandRefused as it would."""
    rev = int(state["rev"]) + 1
    in_room = state["state"] == "in_room"
    match name:
        case "room.join" if in_room:
            raise CommandRefused("busy", "Leave the room first.")
        case "room.join":
            return kiosk_documents.in_room(rev=rev)
        case "room.leave" if not in_room:
            raise CommandRefused("invalid_state", "The kiosk is in no room.")
        case "room.leave":
            return kiosk_documents.idle(rev=rev)
        case "mic.mute":
            return kiosk_documents.muted(rev=rev, origin="page")
        case "mic.unmute":
            raise CommandRefused("policy_denied", "Only the room can unmute.")
        case "camera.off":
            return state | {"rev": rev, "camera": "off", "camera_live": False}
        case "camera.on":
            raise CommandRefused("policy_denied", "Only the room can turn the camera on.")
        case "speaker.set":
            return state | {"rev": rev, "speaker": state["speaker"] | {"volume": arguments["volume"]}}
        case "front_panel.press" if arguments["action"] == "release":
            return state
        case "front_panel.press" if arguments["button"] == "mute":
            muted = state["mic"] == "muted"
            return kiosk_documents.in_room(rev=rev) if muted else kiosk_documents.muted(rev=rev)
        case "front_panel.press":
            return kiosk_documents.idle(rev=rev)
        case _:
            raise CommandRefused("invalid_request", f"{name} is not known.")


class KioskInMemory:
    """Satisfies `panel.kiosk.Kiosk` without a socket. `silent` makes it as if the process were gone."""

    def __init__(self, state: dict[str, Any] | None = None, rule: Rule = obey) -> None:
        self.commands: list[tuple[str, dict[str, Any]]] = []
        self._rule = rule
        self._snapshot = Snapshot(version=1, state=state or kiosk_documents.idle(), answering=True)

    def become(self, state: Mapping[str, Any]) -> None:
        self._next(state=state)

    def fall_silent(self) -> None:
        self._next(answering=False)

    def close(self) -> None:
        self._next(closing=True)

    def snapshot(self) -> Snapshot:
        return self._snapshot

    def wait_for_change(self, after: int, timeout_s: float) -> Snapshot:
        return self._snapshot

    def command(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if not self._snapshot.answering:
            raise KioskSilent("nobody there")
        self.commands.append((name, dict(arguments)))
        state = self._rule(dict(self._snapshot.state or {}), name, arguments)
        command_id = f"c{len(self.commands)}"
        outcome = Outcome(
            number=len(self.commands), command_id=command_id, document={"command_id": command_id, "ok": True}
        )
        self._next(state=state, outcomes=(*self._snapshot.outcomes, outcome))
        return {"command_id": command_id}

    def get(self, what: str) -> dict[str, Any]:
        if not self._snapshot.answering:
            raise KioskSilent("nobody there")
        return {"participants": (self._snapshot.state or {}).get("people", [])}

    def picture(self) -> bytes:
        if not self._snapshot.answering:
            raise KioskSilent("nobody there")
        return PNG

    def _next(self, **changes: Any) -> None:
        now = self._snapshot
        self._snapshot = Snapshot(
            version=now.version + 1,
            state=changes.get("state", now.state),
            answering=changes.get("answering", now.answering),
            outcomes=changes.get("outcomes", now.outcomes),
            closing=changes.get("closing", now.closing),
        )


class FakeKiosk:
    """Serves a control socket on threads, inside `with`; `stop` and `start` are a kiosk that dies and returns."""

    def __init__(self, path: Path, state: dict[str, Any] | None = None, rule: Rule = obey) -> None:
        self.path = path
        self.state = state or kiosk_documents.idle()
        self.commands: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        """Name, arguments, actor of every command that came in."""
        self.mute = False
        """Accept connections and say nothing, like a process that hangs."""
        self._rule = rule
        self._lock = threading.RLock()
        self._watchers: list[socket.socket] = []
        self._connections: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "FakeKiosk":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen(32)
        self._spawn(self._accept, self._listener)

    def stop(self) -> None:
        if self._listener is None:
            return
        with self._lock:
            ends = [self._listener, *self._connections]
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # the other end was faster
        for thread in self._threads:
            thread.join(timeout=5)
        self._listener.close()
        self._listener = None
        self._watchers.clear()
        self._threads.clear()
        if os.path.exists(self.path):
            self.path.unlink()

    def become(self, state: Mapping[str, Any]) -> None:
        """Show another state to everybody who watches."""
        with self._lock:
            self.state = dict(state)
            self._tell({"event": "state", "state": self.state})

    def _spawn(self, target: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            try:
                for line in lines:
                    if not self.mute:
                        self._answer(connection, json.loads(line))
            except OSError:
                return  # hung up while we wrote
            finally:
                with self._lock:
                    self._connections.discard(connection)
                    if connection in self._watchers:
                        self._watchers.remove(connection)

    def _answer(self, connection: socket.socket, request: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": request["id"], "ok": True}
        with self._lock:
            if "watch" in request:
                self._watchers.append(connection)
                _send(connection, answer)
                _send(connection, {"event": "state", "state": self.state})
                return
            if request.get("get") == "screen":
                answer["result"] = {"png": base64.b64encode(PNG).decode()}
            elif request.get("get") == "participants":
                answer["result"] = {"participants": self.state["people"]}
            elif "get" in request:
                answer["result"] = self.state
            else:
                self._do(connection, request, answer)
                return
            _send(connection, answer)

    def _do(self, connection: socket.socket, request: dict[str, Any], answer: dict[str, Any]) -> None:
        name, arguments = request["do"], request.get("arguments", {})
        self.commands.append((name, arguments, request.get("actor", {})))
        command_id = f"c{len(self.commands)}"
        try:
            after = self._rule(self.state, name, arguments)
        except CommandRefused as error:
            _send(connection, answer | {"ok": False, "error": {"code": error.code, "message": str(error)}})
            return
        _send(connection, answer | {"result": {"command_id": command_id}})
        if after != self.state:
            self.become(after)
        self._tell({"event": "outcome", "command_id": command_id, "ok": True})

    def _tell(self, message: Mapping[str, Any]) -> None:
        for watcher in list(self._watchers):
            try:
                _send(watcher, message)
            except OSError:
                self._watchers.remove(watcher)


def _send(connection: socket.socket, message: Mapping[str, Any]) -> None:
    connection.sendall(json.dumps(message, ensure_ascii=False).encode() + b"\n")
