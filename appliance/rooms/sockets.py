"""WebSocket ⇄ signaling's admitting end ⇄ service. Decides nothing.

One handler per socket. aiohttp must neither answer a close by itself nor ping: the code that it would answer with
turns a retry into a failure (signaling.md 1.4 and appendix A), and pings do not count as heartbeats.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web

from appliance.clock import Clock
from appliance.errors import RoomConnectFailedError, RoomError, SignalingConnectionError
from appliance.rooms.conversation import (
    Changed,
    Failed,
    Joined,
    Removed,
    Resumed,
    RoomEnded,
    Stopping,
    Superseded,
    ToClient,
)
from appliance.rooms.gate import Gate, GateFigures, GateLimits
from appliance.rooms.service import Attachment, RoomsService
from appliance.rooms.wire import (
    connected_message,
    join_request,
    resume_request,
    server_update,
    synced_message,
    update_request,
)
from appliance.signaling.frames import Busy, Hello
from appliance.signaling.link import MAX_FRAME_BYTES, CloseCode
from appliance.signaling.room_session import Admission
from appliance.signaling.server import (
    ConnectRequested,
    IceRequested,
    Left,
    LinkLost,
    Refused,
    ServerEvent,
    ServerSession,
    SyncRequested,
    Updated,
)

log = logging.getLogger(__name__)

WRITE_DEADLINE_S = 10.0
"""A client that takes nothing for so long is as good as gone; the SDK itself gives up after 15 s of silence."""

CLOSE_DEADLINE_S = 2.0
STOP_DEADLINE_S = 3.0

LATENESS_SAMPLE_S = 0.25

_NO_CODE = (0, 1005, 1006, 1015)
"""What stands for "no code" and must not be sent (RFC 6455, 7.4.1)."""


_LIMITS = GateLimits()


class SignalingSockets:
    """All WebSockets of the service. `handle` serves one; `close` ends them all."""

    def __init__(self, service: RoomsService, clock: Clock, limits: GateLimits = _LIMITS) -> None:
        self._service = service
        self._clock = clock
        self._gate = Gate(limits, secrets.token_bytes(16))
        self._open: set[_SignalingSocket] = set()
        self._stopping = False

    def __len__(self) -> int:
        return len(self._open)

    @property
    def gate(self) -> GateFigures:
        """Who waits to come in; the lateness is known as far as `watch` runs."""
        return self._gate.figures()

    async def watch(self) -> None:
        """Measure how late the event loop is, and let in who waits when it has caught up; until cancelled."""
        while True:
            due = self._clock.monotonic() + LATENESS_SAMPLE_S
            await asyncio.sleep(LATENESS_SAMPLE_S)
            self._gate.note_lateness(self._clock.monotonic() - due)
            self.let_in()

    def let_in(self) -> None:
        """Welcome those who wait, the longest first, as far as there is room."""
        if not self._gate.figures().waiting:
            return  # as nearly always; counting the population takes a while where there are many rooms
        while (who := self._gate.next_in(self._clock.monotonic(), self._service.population)) is not None:
            assert isinstance(who, _SignalingSocket)
            who.welcome()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one WebSocket until it is closed."""
        if self._stopping:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"})
        # Twice the limit, so that a frame beyond it is refused by name (53004), not by a dropped connection.
        websocket = web.WebSocketResponse(
            autoclose=False, heartbeat=None, timeout=CLOSE_DEADLINE_S, max_msg_size=2 * MAX_FRAME_BYTES
        )
        await websocket.prepare(request)
        socket = _SignalingSocket(websocket, self._service, self._clock, self._gate)
        socket.on_place_free = self.let_in
        self._open.add(socket)
        try:
            await socket.run()
        finally:
            self._open.discard(socket)
            socket.free_place()
        return websocket

    async def close(self) -> None:
        """Close every socket with 1012, so that its client tries to come back, and wait for that. Take no more."""
        self._stopping = True
        for socket in self._open:
            socket.stop()
        try:
            async with asyncio.timeout(STOP_DEADLINE_S):
                await asyncio.gather(*(socket.ended.wait() for socket in self._open))
        except TimeoutError:
            log.warning("%d signaling sockets did not close within %g s", len(self._open), STOP_DEADLINE_S)


class _SignalingSocket:
    """One socket and, once admitted, the participant behind it."""

    def __init__(self, websocket: web.WebSocketResponse, service: RoomsService, clock: Clock, gate: Gate) -> None:
        self._websocket = websocket
        self._service = service
        self._clock = clock
        self._gate = gate
        self.on_place_free: Callable[[], None] = lambda: None
        self._session = ServerSession(clock.monotonic(), doorkeeper=self._answer_hello)
        self._admission: asyncio.Task[None] | None = None
        self._attachment: Attachment | None = None
        self._wake = asyncio.Event()
        self._peer_code: int | None = None
        self.ended = asyncio.Event()

    async def run(self) -> None:
        """Read and write until either side closes; then part with the participant."""
        reader = asyncio.create_task(self._read(), name="signaling reader")
        reader.add_done_callback(lambda _: self._wake.set())
        code: int = CloseCode.INTERNAL_ERROR
        try:
            code = await self._write_until_closed(reader)
        except (ConnectionError, TimeoutError, aiohttp.ClientError) as error:
            log.info("signaling socket: cannot write: %s", error or type(error).__name__)
            code = CloseCode.GOING_AWAY if self._peer_code is None else self._peer_code
        finally:
            await self._end(code, reader)

    def stop(self) -> None:
        """Close with 1012 soon."""
        self._session.close(CloseCode.SERVICE_RESTART)
        self._wake.set()

    # --- coming in ---

    def _answer_hello(self, hello: Hello) -> Busy | None:
        """Satisfies Doorkeeper. Who comes back to a room is always welcome: it costs little, and has a seat."""
        if hello.body is not None and hello.body.get("type") == "sync":
            return None
        return self._gate.ask(self, self._clock.monotonic(), self._service.population, hello.cookie)

    def welcome(self) -> None:
        """There is room for it now."""
        self._session.readmit(self._clock.monotonic())
        self._wake.set()

    def free_place(self) -> None:
        """It is in, was refused, or is gone: somebody else may come in."""
        self._gate.left(self)
        self.on_place_free()

    # --- reading and writing ---

    async def _read(self) -> None:
        while self._peer_code is None:
            message = await self._websocket.receive()
            now = self._clock.monotonic()
            if message.type is aiohttp.WSMsgType.TEXT:
                self._session.receive(message.data, now)
            elif message.type is aiohttp.WSMsgType.BINARY:
                self._session.receive_binary(now)
            else:
                closed = message.type is aiohttp.WSMsgType.CLOSE
                self._peer_code = int(message.data or 0) if closed else CloseCode.ABNORMAL
                self._session.socket_closed(self._peer_code, now)
            self._wake.set()

    async def _write_until_closed(self, reader: "asyncio.Task[None]") -> int:
        """Return the code to close with."""
        while True:
            while event := self._session.next_event():
                self._handle(event)
            if self._peer_code is not None:
                return self._peer_code
            async with asyncio.timeout(WRITE_DEADLINE_S):
                for text in self._session.take_outbox():
                    await self._websocket.send_str(text)
            if self._session.close_code is not None:
                return self._session.close_code
            if reader.done():
                reader.result()  # it ends with a code, or by a bug of ours
            await self._wait()

    async def _wait(self) -> None:
        """Wait until something was said by either side, or the session's next deadline has come."""
        left_s = self._session.wake_at() - self._clock.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left_s) if left_s != float("inf") else None):
                await self._wake.wait()
        except TimeoutError:
            pass  # its deadline is what we waited for
        self._wake.clear()
        self._session.wake(self._clock.monotonic())

    async def _end(self, code: int, reader: "asyncio.Task[None]") -> None:
        """Part with the participant first, so that the others know at once, then with the socket."""
        self._cancel_admission()
        if self._admission:
            await asyncio.wait({self._admission})
        if self._attachment:
            self._service.link_lost(self._attachment)
        try:
            async with asyncio.timeout(2 * CLOSE_DEADLINE_S):
                # The SDK reads its own code in our answer, above all 3005 (signaling.md 1.4).
                await self._websocket.close(code=CloseCode.GOING_AWAY if code in _NO_CODE else code)
        except (OSError, TimeoutError, RuntimeError, aiohttp.ClientError) as error:
            log.debug("closing a signaling socket: %s", error or type(error).__name__)
        finally:
            reader.cancel()
            await asyncio.wait({reader})
            self.ended.set()

    # --- what the client says ---

    def _handle(self, event: ServerEvent) -> None:
        match event:
            case IceRequested(token=token):
                self._answer_ice(token)
            case ConnectRequested(message):
                request = join_request(message)
                self._gate.joining(self)
                self._begin(lambda: self._service.admit(request, self._tell), RoomConnectFailedError())
            case SyncRequested(message):
                sync = resume_request(message)
                self._begin(lambda: self._service.resume(sync, self._tell), SignalingConnectionError())
            case Updated(message):
                assert self._attachment, "who may update has been admitted"
                self._service.update(self._attachment, update_request(message))
            case Left():
                self._leave()
            case Refused(error):
                log.info("signaling socket: refused: %s", error)
                self._leave()
            case LinkLost(code):
                log.debug("signaling socket: lost with code %s", code)  # `_end` tells the service

    def _answer_ice(self, token: str) -> None:
        now = self._clock.monotonic()
        try:
            self._session.send_iced(self._service.ice_servers(token), now)
        except RoomError as error:
            self._session.send_error(error.code, error.message, now)
            self.free_place()

    def _begin(self, admit: Callable[[], Awaitable[Attachment]], bug: RoomError) -> None:
        """Start to admit; the session sees to it that this happens once."""
        self._admission = asyncio.create_task(self._admit(admit, bug), name="signaling admission")

    async def _admit(self, admit: Callable[[], Awaitable[Attachment]], bug: RoomError) -> None:
        try:
            # What was told meanwhile, the welcome first, was told in the same turn of the loop as this is set.
            self._attachment = await admit()
        except RoomError as error:
            self._session.send_error(error.code, error.message, self._clock.monotonic())
        except Exception:
            log.exception("admitting a participant failed")
            self._session.send_error(bug.code, bug.message, self._clock.monotonic())
        finally:
            self.free_place()
            self._wake.set()

    def _cancel_admission(self) -> None:
        if self._admission and not self._admission.done() and not self._admission.cancelling():
            self._admission.cancel()  # then the service takes back what it had begun

    def _leave(self) -> None:
        self._cancel_admission()
        if self._attachment:
            self._service.leave(self._attachment)
            self._attachment = None

    # --- what the service says ---

    def _tell(self, message: ToClient) -> None:
        """Satisfies Tell."""
        if self._session.state is Admission.ENDED:
            return  # the client has left, and the service has yet to hear of it
        now = self._clock.monotonic()
        match message:
            case Joined():
                self._session.send_connected(connected_message(message), now)
            case Resumed():
                self._session.send_synced(synced_message(message), now)
            case Changed():
                self._session.send_update(server_update(message), now)
            case RoomEnded():
                self._session.send_disconnected(now, completed=True)
            case Removed():
                self._session.send_disconnected(now, completed=False)
            case Failed(code=code, message=text):
                self._session.send_error(code, text, now)
            case Superseded():
                self._session.close(CloseCode.GOING_AWAY)
            case Stopping():
                self._session.close(CloseCode.SERVICE_RESTART)
        self._wake.set()
