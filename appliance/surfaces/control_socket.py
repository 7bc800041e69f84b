"""The control socket: JSON lines over a Unix socket, for the panel, `room-kiosk ctl` and local scripts.

File mode 0660. Who connects is told by the kernel (SO_PEERCRED); only the panel's user may say on whose behalf it asks,
everybody else is `cli` (kiosk.md 18).
"""

import asyncio
import base64
import errno
import logging
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from appliance.clock import Clock
from appliance.errors import CommandRefused, ConfigurationError, DeviceError
from appliance.kiosk.document import document, people
from appliance.kiosk.effects import Answer
from appliance.kiosk.inputs import Actor, read_command
from appliance.kiosk.runner import Kiosk
from appliance.kiosk.state import KioskState, Origin, Role
from appliance.surfaces.control_messages import (
    MAX_LINE_BYTES,
    BadLine,
    ClaimedActor,
    Do,
    Get,
    Watch,
    error_line,
    ok_line,
    outcome_line,
    read_request,
    state_line,
)

log = logging.getLogger(__name__)

MODE = 0o660
MAX_CONNECTIONS = 32
UNSENT_LIMIT_BYTES = 4 * 1024 * 1024
"""A client that reads so slowly that more is waiting for it is hung up on."""
CLAIMABLE = frozenset({Origin.PAGE, Origin.API})
"""Origins that the panel may name; a button or touch is never claimed (kiosk.md 18)."""

Picture = Callable[[], Awaitable[bytes]]
Health = Callable[[], Mapping[str, Any]]


class ControlSocket:
    """Satisfies Surface.

    Args:
        panel_uids: user ids whose `actor` is believed.
        picture: PNG of what the screen shows; None without a screen.
        health: figures for `get health`.
    """

    name = "control socket"

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        panel_uids: frozenset[int],
        picture: Picture | None = None,
        health: Health = dict,
        unsent_limit_bytes: int = UNSENT_LIMIT_BYTES,
    ) -> None:
        self._path, self._clock = path, clock
        self._panel_uids = panel_uids
        self._picture, self._health = picture, health
        self._unsent_limit_bytes = unsent_limit_bytes
        self.listening = asyncio.Event()
        self._connections: set[_Connection] = set()
        self._document: tuple[int, bytes] = (-1, b"")

    async def run(self, kiosk: Kiosk) -> None:
        """Serve until cancelled.

        Raises:
            ConfigurationError: another kiosk serves this path, or the path cannot be used.
        """
        listener = _listen(self._path)
        inode = os.stat(self._path).st_ino
        server = await asyncio.start_unix_server(
            lambda reader, writer: self._serve(kiosk, reader, writer), sock=listener, limit=MAX_LINE_BYTES
        )
        forget = kiosk.watch_outcomes(self._tell_outcome), kiosk.watch(self._tell_state)
        log.info("control socket %s", self._path)
        self.listening.set()
        try:
            await asyncio.Event().wait()
        finally:
            for stop in forget:
                stop()
            server.close()
            for connection in list(self._connections):
                connection.close()
            _unlink_if_ours(self._path, inode)

    async def _serve(self, kiosk: Kiosk, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(writer, _peer_uid(writer) in self._panel_uids, self._unsent_limit_bytes)
        if len(self._connections) >= MAX_CONNECTIONS:
            connection.send(error_line(None, "busy", f"more than {MAX_CONNECTIONS} connections"))
            connection.close()
            return
        self._connections.add(connection)
        try:
            while (line := await _read_line(reader, connection)) is not None:
                await self._answer(kiosk, connection, line)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass  # hung up, or the server closes: either way the connection ends here
        finally:
            self._connections.discard(connection)
            connection.close()

    async def _answer(self, kiosk: Kiosk, connection: "_Connection", line: bytes) -> None:
        try:
            request = read_request(line)
        except BadLine as error:
            connection.send(error_line(error.id, error.code, str(error)))
            return
        try:
            match request:
                case Watch(id=id):
                    connection.watching = True
                    connection.send(ok_line(id) + self._state(kiosk.state))
                case Get(id=id, what=what):
                    connection.send(ok_line(id, await self._get(kiosk, what)))
                case Do():
                    await self._do(kiosk, connection, request)
        except CommandRefused as error:
            connection.send(error_line(request.id, error.code, str(error)))

    async def _do(self, kiosk: Kiosk, connection: "_Connection", request: Do) -> None:
        actor = _actor(request.actor, connection)
        command = read_command(request.name, request.arguments)
        answer = await kiosk.command(command, actor)
        if not answer.ok:
            raise CommandRefused(answer.code, answer.message)
        connection.send(ok_line(request.id, {"command_id": answer.id, **answer.result}))

    async def _get(self, kiosk: Kiosk, what: str) -> dict[str, Any]:
        match what:
            case "state":
                return document(kiosk.state, self._clock.now())
            case "participants":
                return {"participants": people(kiosk.state)}
            case "health":
                return {"state": str(kiosk.state.phase), "turns": kiosk.turns, **self._health()}
        if self._picture is None:
            raise CommandRefused("unavailable", "This kiosk has no screen")
        try:
            return {"png": base64.b64encode(await self._picture()).decode("ascii")}
        except DeviceError as error:
            raise CommandRefused("unavailable", str(error)) from None

    # What goes to everybody who watches

    def _state(self, state: KioskState) -> bytes:
        if self._document[0] != state.rev:
            self._document = (state.rev, state_line(document(state, self._clock.now())))
        return self._document[1]

    def _tell_state(self, state: KioskState) -> None:
        watching = [connection for connection in self._connections if connection.watching]
        if watching:
            line = self._state(state)
            for connection in watching:
                connection.send(line)

    def _tell_outcome(self, answer: Answer) -> None:
        error = None if answer.ok else (answer.code, answer.message)
        line = outcome_line(answer.id, error, answer.result)
        for connection in self._connections:
            if connection.watching:
                connection.send(line)


class _Connection:
    """One client."""

    def __init__(self, writer: asyncio.StreamWriter, is_panel: bool, unsent_limit_bytes: int) -> None:
        self._writer, self._unsent_limit_bytes = writer, unsent_limit_bytes
        self.is_panel = is_panel
        self.watching = False

    def send(self, lines: bytes) -> None:
        """Queue lines; a client that does not read is hung up on instead of filling our memory."""
        transport = self._writer.transport
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() > self._unsent_limit_bytes:
            log.warning("control socket: a client does not read; hung up")
            transport.abort()
            return
        self._writer.write(lines)

    def close(self) -> None:
        self._writer.close()


async def _read_line(reader: asyncio.StreamReader, connection: _Connection) -> bytes | None:
    """Return the next line without its end, None at the end. Too long a line ends the connection: the rest is noise."""
    try:
        line = await reader.readline()
    except ValueError:
        connection.send(error_line(None, "too_large", f"a line has at most {MAX_LINE_BYTES} bytes"))
        return None
    return line.rstrip(b"\r\n") if line.endswith(b"\n") else None


def _actor(claimed: ClaimedActor | None, connection: _Connection) -> Actor:
    if claimed is None or not connection.is_panel:
        # Whoever may open the socket administers this machine (kiosk.md 18), but is not thereby in the room.
        return Actor(origin=Origin.CLI, role=Role.ADMIN)
    try:
        origin, role = Origin(claimed.origin), Role(claimed.role)
    except ValueError as error:
        raise CommandRefused("invalid_request", f"actor: {error}") from None
    if origin not in CLAIMABLE:
        raise CommandRefused("policy_denied", f"actor: {origin} cannot be claimed")
    return Actor(origin=origin, role=role, account=claimed.account)


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    peer: socket.socket = writer.get_extra_info("socket")
    credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", credentials)[1]
    return uid


def _listen(path: Path) -> socket.socket:
    """Bind the path; a socket file that a dead process left is taken over."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not _somebody_listens(path):
            path.unlink()
        # Between bind and chmod nobody who should not may slip in: the umask makes it 0660 from the start.
        before = os.umask(0o777 & ~MODE)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(MAX_CONNECTIONS)
    except OSError as error:
        listener.close()
        what = "in use by another kiosk" if error.errno == errno.EADDRINUSE else error.strerror
        raise ConfigurationError([f"paths.control_socket: {path}: {what}"]) from None
    return listener


def _somebody_listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
        return True


def _unlink_if_ours(path: Path, inode: int) -> None:
    try:
        if os.stat(path).st_ino == inode:
            path.unlink()
    except FileNotFoundError:
        pass


def panel_users(name: str) -> frozenset[int]:
    """Return the user ids whose word counts: the panel's user where there is one, else our own (a demonstration)."""
    try:
        return frozenset({pwd.getpwnam(name).pw_uid})
    except KeyError:
        return frozenset({os.getuid()})
