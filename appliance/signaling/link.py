"""TCMP v2, both ends: handshake, heartbeats, silence (signaling.md 1). Pure; one link for one socket.

Feed what arrived and `now`, write what `take_outbox` gives, call `wake` at `wake_at`, and read the events. Arbitrary
text never raises. Times are seconds on the caller's clock, whose zero does not matter.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from appliance.errors import RemoteProtocolError
from appliance.signaling.fields import Json
from appliance.signaling.frames import (
    PROTOCOL_VERSION,
    Bad,
    Busy,
    Bye,
    Frame,
    Heartbeat,
    Hello,
    Msg,
    Welcome,
    format_frame,
    parse_frame,
)

logger = logging.getLogger(__name__)

NEVER = float("inf")

HEARTBEAT_TIMEOUT_S = 5.0
HEARTBEAT_MARGIN_S = 0.2
SILENT_HEARTBEATS = 3
LEAST_TIMEOUT_S, GREATEST_TIMEOUT_S = 1.0, 30.0
"""What may be negotiated: the margin must stay small beside it, and the dead must be noticed within minutes."""

WELCOME_DEADLINE_S = 5.0
HELLO_ATTEMPTS = 3
HELLO_DEADLINE_S = HELLO_ATTEMPTS * WELCOME_DEADLINE_S

MAX_FRAME_BYTES = 256 * 1024
FRAMES_PER_S = 50.0
FRAME_BURST = 250.0
"""rest.md 14: 50 frames a second sustained; five seconds' worth may come at once."""


class CloseCode:
    """signaling.md 1.4. A service never closes with NORMAL: the SDK would leave the room for good."""

    NORMAL = 1000
    GOING_AWAY = 1001
    ABNORMAL = 1006
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    NO_WELCOME = 3000
    SILENCE = 3001
    REFUSED = 3002
    SEND_FAILED = 3003
    BUSY_RETRY = 3005
    BUSY_FOR_GOOD = 3006
    OPEN_TIMEOUT = 3007


# --- what a link reports ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """The handshake is done."""


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """`body` is a room message, not looked at yet."""

    body: Json


@dataclass(frozen=True, slots=True)
class FrameRefused:
    """What arrived breaks the rules; `reason` begins with the key. Only from the admitting end."""

    reason: str


@dataclass(frozen=True, slots=True)
class ByeSaid:
    """The client is about to close on purpose."""


@dataclass(frozen=True, slots=True)
class LinkClosed:
    """Over; the socket is to be closed with `code`. After `retry_after_s`, if given, another may be tried."""

    code: int
    retry_after_s: float | None = None
    cookie: str | None = None


LinkEvent = LinkOpened | MessageArrived | FrameRefused | ByeSaid | LinkClosed


@dataclass(slots=True)
class Pulse:
    """Both ends' heartbeat: anything sent is one, anything received is one."""

    timeout_s: float
    last_sent: float
    last_heard: float

    def beat_at(self) -> float:
        return self.last_sent + self.timeout_s - HEARTBEAT_MARGIN_S

    def dead_at(self) -> float:
        return self.last_heard + SILENT_HEARTBEATS * self.timeout_s


@dataclass(slots=True)
class FrameBudget:
    """A bucket that refills with FRAMES_PER_S."""

    tokens: float = FRAME_BURST
    refilled_at: float | None = None

    def take(self, now: float) -> bool:
        """Take one frame's worth; False where nothing is left."""
        if self.refilled_at is not None:
            self.tokens = min(FRAME_BURST, self.tokens + max(0.0, now - self.refilled_at) * FRAMES_PER_S)
        self.refilled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


def _negotiable(timeout_s: float) -> float:
    return min(GREATEST_TIMEOUT_S, max(LEAST_TIMEOUT_S, timeout_s))


class _LinkEnd:
    """What both ends of a link have: frames to write, events to read, a heartbeat."""

    def __init__(self, now: float) -> None:
        self._outbox: list[str] = []
        self._events: deque[LinkEvent] = deque()
        self._pulse = Pulse(HEARTBEAT_TIMEOUT_S, now, now)

    def next_event(self) -> LinkEvent | None:
        """Return the oldest event that was not read yet."""
        return self._events.popleft() if self._events else None

    def take_outbox(self) -> list[str]:
        """Return the text frames to write now, oldest first, and forget them."""
        frames, self._outbox = self._outbox, []
        return frames

    def _write(self, frame: Frame, now: float) -> None:
        self._pulse.last_sent = now
        self._outbox.append(format_frame(frame))


# --- the joining end -------------------------------------------------------------------------------------------------


class ClientLinkState(StrEnum):
    """signaling.md 1.2; "early" is a socket that is not open yet, so that there is no link.

      CONNECTING ──welcome──▶ OPEN ──silence──▶ CLOSED
         │  ▲ retry over
    busy ▼  │
      WAITING ──welcome──▶ OPEN
      CONNECTING ── bad, terminal busy, three hellos unanswered ──▶ CLOSED
    """

    CONNECTING = "connecting"
    WAITING = "waiting"
    OPEN = "open"
    CLOSED = "closed"


class ClientLink(_LinkEnd):
    """The joining end of a socket that has just opened.

    Args:
        body: the first room message; it travels inside the hello.
        cookie: what an earlier `busy` gave us, if any.
        new_uuid: gives the id of every hello.
    """

    def __init__(self, body: Json, new_uuid: Callable[[], str], now: float, *, cookie: str | None = None) -> None:
        super().__init__(now)
        self._body = body
        self._cookie = cookie
        self._new_uuid = new_uuid
        self._state = ClientLinkState.CONNECTING
        self._hellos_left = HELLO_ATTEMPTS
        self._next_at = NEVER
        self._queue: list[Frame] = []
        self._say_hello(now)

    @property
    def state(self) -> ClientLinkState:
        return self._state

    def send(self, body: Json, now: float) -> None:
        """Send one room message; before the welcome it waits."""
        if self._state is ClientLinkState.OPEN:
            self._write(Msg(body=body), now)
        else:
            self._queue.append(Msg(body=body))

    def say_bye(self, now: float) -> None:
        """Announce a deliberate close."""
        if self._state is ClientLinkState.OPEN:
            self._write(Bye(), now)
        self._state = ClientLinkState.CLOSED

    def receive(self, text: str, now: float) -> None:
        """Take a text frame. What is malformed, unknown or out of turn is logged and passed by."""
        try:
            frame = parse_frame(text)
        except RemoteProtocolError as error:
            logger.warning("service sent a frame that cannot be read: %s", error)
            return
        handle = _ON_FRAME.get((self._state, type(frame)))
        if handle:
            handle(self, frame, now)

    def wake_at(self) -> float:
        """Return when to call `wake`; infinity for never."""
        if self._state is ClientLinkState.OPEN:
            return min(self._pulse.beat_at(), self._pulse.dead_at())
        return self._next_at if self._state is not ClientLinkState.CLOSED else NEVER

    def wake(self, now: float) -> None:
        """Do what is due: a heartbeat, another hello, or giving up. Calling too early does nothing."""
        if now < self.wake_at():
            return
        if self._state is not ClientLinkState.OPEN:
            self._say_hello(now)
        elif now >= self._pulse.dead_at():
            self._close(CloseCode.SILENCE)
        else:
            self._write(Heartbeat(), now)

    def _say_hello(self, now: float) -> None:
        if self._hellos_left == 0:
            self._close(CloseCode.NO_WELCOME)
            return
        self._hellos_left -= 1
        self._state = ClientLinkState.CONNECTING
        self._next_at = now + WELCOME_DEADLINE_S
        timeout_ms = round(HEARTBEAT_TIMEOUT_S * 1000)
        hello = Hello(id=self._new_uuid(), timeout_ms=timeout_ms, cookie=self._cookie, body=self._body)
        self._write(hello, now)

    def _on_welcome(self, frame: Frame, now: float) -> None:
        assert isinstance(frame, Welcome)
        self._state = ClientLinkState.OPEN
        self._pulse = Pulse(_negotiable(frame.negotiated_timeout_ms / 1000), self._pulse.last_sent, now)
        self._events.append(LinkOpened())
        for waiting in self._queue:
            self._write(waiting, now)
        self._queue.clear()

    def _on_busy(self, frame: Frame, now: float) -> None:
        assert isinstance(frame, Busy)
        self._cookie = frame.cookie or self._cookie
        self._hellos_left = HELLO_ATTEMPTS
        retry_after_s = frame.retry_after_ms / 1000
        if retry_after_s < 0:
            self._close(CloseCode.BUSY_FOR_GOOD)
        elif frame.keep_alive:
            self._state = ClientLinkState.WAITING
            self._next_at = now + retry_after_s
        else:
            self._close(CloseCode.BUSY_RETRY, retry_after_s)

    def _on_bad(self, frame: Frame, now: float) -> None:
        assert isinstance(frame, Bad)
        logger.warning("service refused the hello: %s", ascii(frame.reason[:200]))
        self._close(CloseCode.REFUSED)

    def _on_message(self, frame: Frame, now: float) -> None:
        assert isinstance(frame, Msg)
        self._pulse.last_heard = now
        self._events.append(MessageArrived(frame.body))

    def _on_heartbeat(self, frame: Frame, now: float) -> None:
        self._pulse.last_heard = now

    def _close(self, code: int, retry_after_s: float | None = None) -> None:
        self._state = ClientLinkState.CLOSED
        cookie = self._cookie if retry_after_s is not None else None
        self._events.append(LinkClosed(code, retry_after_s, cookie))


_ON_FRAME: Mapping[tuple[ClientLinkState, type[Frame]], Callable[[ClientLink, Frame, float], None]] = {
    (ClientLinkState.CONNECTING, Welcome): ClientLink._on_welcome,
    (ClientLinkState.CONNECTING, Busy): ClientLink._on_busy,
    (ClientLinkState.CONNECTING, Bad): ClientLink._on_bad,
    (ClientLinkState.WAITING, Welcome): ClientLink._on_welcome,
    (ClientLinkState.WAITING, Busy): ClientLink._on_busy,
    (ClientLinkState.OPEN, Msg): ClientLink._on_message,
    (ClientLinkState.OPEN, Heartbeat): ClientLink._on_heartbeat,
}
"""signaling.md 1.2: a pair that is not here is passed by."""


Doorkeeper = Callable[[Hello], Busy | None]
"""Asked at every hello before the welcome: None lets the client in (signaling.md 1.5)."""


# --- the admitting end -----------------------------------------------------------------------------------------------


class ServerLinkState(StrEnum):
    """The same handshake from the other side.

    AWAITING ──hello──▶ OPEN ──silence──▶ CLOSED
       └─ bad hello, or none in time ──▶ CLOSED
    """

    AWAITING = "awaiting"
    OPEN = "open"
    CLOSED = "closed"


class ServerLink(_LinkEnd):
    """The admitting end of a socket that has just been accepted.

    Args:
        doorkeeper: decides on every hello; None welcomes all.
    """

    def __init__(self, now: float, *, doorkeeper: Doorkeeper | None = None) -> None:
        super().__init__(now)
        self._doorkeeper = doorkeeper
        self._at_the_door: Hello | None = None
        self._state = ServerLinkState.AWAITING
        self._hello_by = now + HELLO_DEADLINE_S
        self._budget = FrameBudget()

    @property
    def state(self) -> ServerLinkState:
        return self._state

    def send(self, body: Json, now: float) -> None:
        """Send one room message."""
        if self._state is ServerLinkState.OPEN:
            self._write(Msg(body=body), now)

    def receive(self, text: str, now: float) -> None:
        """Take a text frame; any frame counts as a heartbeat. One that breaks the rules comes as FrameRefused."""
        if self._state is ServerLinkState.CLOSED:
            return
        self._pulse.last_heard = now
        try:
            frame = self._admitted(text, now)
        except RemoteProtocolError as error:
            self._refuse(str(error), now)
            return
        if self._state is ServerLinkState.AWAITING:
            self._take_first(frame, now)
        else:
            self._take(frame)

    def _admitted(self, text: str, now: float) -> Frame:
        if not self._budget.take(now):
            raise RemoteProtocolError(f"frame: more than {FRAMES_PER_S:.0f} a second")
        # A character is at least a byte, so most frames need not be encoded to be measured.
        if len(text) > MAX_FRAME_BYTES or len(text.encode(errors="surrogatepass")) > MAX_FRAME_BYTES:
            raise RemoteProtocolError(f"frame: larger than {MAX_FRAME_BYTES} bytes")
        return parse_frame(text)

    def _take_first(self, frame: Frame, now: float) -> None:
        if not isinstance(frame, Hello):
            self._refuse("type: hello must come first", now)
        elif frame.version != PROTOCOL_VERSION:
            self._refuse(f"version: must be {PROTOCOL_VERSION}", now)
        elif busy := self._doorkeeper and self._doorkeeper(frame):
            self._at_the_door = frame if busy.keep_alive else None
            self._hello_by = now + HELLO_DEADLINE_S + max(0.0, busy.retry_after_ms / 1000)
            self._write(busy, now)
        else:
            self._welcome(frame, now)

    def _welcome(self, hello: Hello, now: float) -> None:
        self._state = ServerLinkState.OPEN
        self._pulse.timeout_s = _negotiable(hello.timeout_ms / 1000)
        self._write(Welcome(negotiated_timeout_ms=round(self._pulse.timeout_s * 1000)), now)
        self._events.append(LinkOpened())
        if hello.body is not None:
            self._events.append(MessageArrived(hello.body))

    def _take(self, frame: Frame) -> None:
        match frame:
            case Msg(body=body):
                self._events.append(MessageArrived(body))
            case Bye():
                self._events.append(ByeSaid())
            case Heartbeat() | Hello():
                pass  # a hello that crossed our welcome says nothing new: its body has been taken (1.1)
            case Welcome() | Busy() | Bad():
                self._events.append(FrameRefused("type: only the service may send this"))

    def _refuse(self, reason: str, now: float) -> None:
        if self._state is ServerLinkState.AWAITING:
            # Only now: after the welcome the SDK throws on it inside the page (1.2).
            self._write(Bad(reason=reason), now)
            self._state = ServerLinkState.CLOSED
        self._events.append(FrameRefused(reason))

    def readmit(self, now: float) -> None:
        """Stop being busy: welcome the hello that waits, or the next one."""
        self._doorkeeper = None
        if self._at_the_door is not None and self._state is ServerLinkState.AWAITING:
            self._welcome(self._at_the_door, now)

    def wake_at(self) -> float:
        """Return when to call `wake`; infinity for never."""
        match self._state:
            case ServerLinkState.AWAITING:
                return self._hello_by
            case ServerLinkState.OPEN:
                return min(self._pulse.beat_at(), self._pulse.dead_at())
            case ServerLinkState.CLOSED:
                return NEVER

    def wake(self, now: float) -> None:
        """Do what is due: a heartbeat, or giving up on a silent client. Calling too early does nothing."""
        if now < self.wake_at():
            return
        if self._state is ServerLinkState.AWAITING or now >= self._pulse.dead_at():
            self._state = ServerLinkState.CLOSED
            self._events.append(LinkClosed(CloseCode.GOING_AWAY))
        else:
            self._write(Heartbeat(), now)

    def stop(self) -> None:
        """Beat no more and take nothing more; what is in the outbox may still be written."""
        self._state = ServerLinkState.CLOSED
