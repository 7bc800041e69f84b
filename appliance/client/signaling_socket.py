"""The WebSocket around signaling's joining end: opens, writes, reads, waits. Decides nothing.

One task owns the sockets of a stay, one after another; what arrives and what is wanted goes through the session,
whose events are handed to the Room in the same turn of the loop.
"""

import asyncio
import logging
import ssl
import time
import uuid
from random import Random

import aiohttp

from appliance import __version__
from appliance.client.network import own_addresses
from appliance.client.options import ConnectOptions, is_loopback
from appliance.client.room import Room
from appliance.errors import RoomError, SignalingConnectionError
from appliance.media_engine import PeerConnectionState
from appliance.signaling.client import ClientSession
from appliance.signaling.client_events import (
    ClientEvent,
    Connected,
    Disconnected,
    IceServersKnown,
    Reconnecting,
    SocketWanted,
    Synced,
    Updated,
    Warned,
)
from appliance.signaling.link import CloseCode
from appliance.signaling.room_session import RoomState
from appliance.signaling.states import LocalTrackState
from appliance.signaling.wishes import Publisher

logger = logging.getLogger(__name__)

WRITE_DEADLINE_S = 5.0
"""A write that takes longer meets a dead network; the heartbeats would notice later."""

NETWORK_CHECK_INTERVAL_S = 1.0
NETWORK_CHANGED = 3004
"""The code with which the SDK closes a socket whose network interface has changed (signaling.md 1.4)."""

CLOSE_DEADLINE_S = 1.0
FAREWELL_DEADLINE_S = 0.05
"""For a socket whose address is gone: nobody can answer its farewell."""
LEAVE_DEADLINE_S = 3.0


class SignalingSocket:
    """The Wire of one Room. `start` it once."""

    def __init__(self, token: str, options: ConnectOptions) -> None:
        self._options = options
        self._url = options.signaling_url()
        self._tls = options.tls()
        self._session = ClientSession(
            token=token,
            name=options.name,
            publisher=Publisher(name="room-kiosk", sdk_version=__version__, user_agent=options.user_agent),
            random=Random(),
            new_uuid=lambda: str(uuid.uuid4()),
            now=time.monotonic(),
            automatic_subscription=options.automatic_subscription,
            media_signaling=options.channels(),
            bandwidth_profile=options.bandwidth_profile.video.as_wish() if options.bandwidth_profile else None,
            own_ice_servers=options.ice_servers is not None,
        )
        self._room: Room | None = None
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._handling = False
        self._held = False
        self._wanted_delay_s: float | None = None
        self._socket_error: RoomError | None = None
        self._loopback = options.is_loopback()

    def start(self, room: Room) -> None:
        """Begin to connect; the room is told what comes of it."""
        self._room = room
        self.set_tracks(room.local_participant.track_states())
        if self._options.ice_servers is not None:
            room.begin(self._options.ice_servers, loopback=self._loopback)
        self._task = asyncio.create_task(self._run(), name="signaling")

    # --- the room's wire ------------------------------------------------------------------------------------------

    def join(self, state: PeerConnectionState) -> None:
        self._session.connect((state,), time.monotonic())
        self._work_off()

    def describe(self, state: PeerConnectionState) -> None:
        self._session.describe((state,), time.monotonic())
        self._work_off()

    def set_tracks(self, tracks: tuple[LocalTrackState, ...]) -> None:
        self._session.set_tracks(tracks, time.monotonic())
        self._work_off()

    def leave(self) -> None:
        self._session.disconnect(time.monotonic())
        self._work_off()

    def release(self) -> None:
        """Go on with the events after Connected: the room has been handed over."""
        self._held = False
        self._wake.set()

    async def closed(self) -> None:
        """Wait until the last socket is closed, not longer than a few seconds."""
        if self._task is None:
            return
        done, _ = await asyncio.wait({self._task}, timeout=LEAVE_DEADLINE_S)
        if not done:
            logger.warning("the signaling socket did not close within %g s", LEAVE_DEADLINE_S)
            self._task.cancel()
            await asyncio.wait({self._task})

    def renew_token(self, token: str) -> None:
        """Use this access token when the session has to be resumed."""
        self._session.renew_token(token)

    # --- the sockets ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        try:
            async with aiohttp.ClientSession() as http:
                self._handle_events()
                while await self._wait_for_next():
                    await self._use_one_socket(http)
        except Exception as error:
            logger.exception("the signaling connection failed by a bug")
            self._tell_end(SignalingConnectionError(f"internal error: {error}"))
            raise

    async def _wait_for_next(self) -> bool:
        """Wait until a socket is wanted and its delay is over; False when none ever will be."""
        open_at: float | None = None
        while self._session.state is not RoomState.DISCONNECTED:
            delay_s, self._wanted_delay_s = self._wanted_delay_s, None
            if delay_s is not None:
                open_at = time.monotonic() + delay_s
            if open_at is not None and time.monotonic() >= open_at:
                return True
            await self._pause(open_at)
            if self._session.close_code is not None:  # the attempt took too long before it began
                open_at = None
                self._session.socket_closed(CloseCode.ABNORMAL, time.monotonic())
        return False

    async def _use_one_socket(self, http: aiohttp.ClientSession) -> None:
        socket = await self._open(http)
        now = time.monotonic()
        if socket is None:
            self._session.socket_closed(CloseCode.ABNORMAL, now)
            self._handle_events()
            return
        self._loopback = self._loopback or is_loopback(_address(socket, "peername") or "")
        self._session.socket_opened(now)
        reader = asyncio.create_task(self._read(socket), name="signaling reader")
        try:
            code = await self._write_until_closed(socket, reader)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await _close(socket, CloseCode.GOING_AWAY)
        self._session.socket_closed(code, time.monotonic())
        self._handle_events()

    async def _open(self, http: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse | None:
        """Return the open socket, or None with `_socket_error` set, or when the session lost patience."""
        opening = asyncio.ensure_future(
            http.ws_connect(
                self._url,
                ssl=self._tls if self._tls is not None else True,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_DEADLINE_S),
            )
        )
        opening.add_done_callback(lambda _: self._wake.set())
        try:
            while not opening.done() and self._session.close_code is None:
                await self._pause(None)
            if not opening.done():
                self._socket_error = SignalingConnectionError(f"no answer from {self._url}")
                return None
            self._socket_error = None
            return opening.result()
        except aiohttp.ClientConnectorCertificateError as error:
            reason = f"the certificate of {self._url} is not trusted: {error.certificate_error}"
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            reason = f"no secure connection to {self._url}: {error}"
        except aiohttp.WSServerHandshakeError as error:
            reason = f"{self._url} is no rooms service: HTTP status {error.status}"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            reason = f"cannot reach {self._url}: {error}"
        finally:
            if not opening.done():
                opening.cancel()
                await asyncio.gather(opening, return_exceptions=True)
        self._socket_error = SignalingConnectionError(reason)
        logger.info("%s", reason)
        return None

    async def _write_until_closed(self, socket: aiohttp.ClientWebSocketResponse, reader: "asyncio.Task[None]") -> int:
        """Write what the session wants written until either side closes; return the close code."""
        reader.add_done_callback(lambda _: self._wake.set())
        local_address = _address(socket, "sockname")
        check_at = 0.0
        while True:
            self._handle_events()
            try:
                async with asyncio.timeout(WRITE_DEADLINE_S):
                    for text in self._session.take_outbox():
                        await socket.send_str(text)
            except (OSError, aiohttp.ClientError, TimeoutError) as error:
                logger.info("signaling socket: cannot write: %s", error or type(error).__name__)
                return CloseCode.ABNORMAL
            if (code := self._session.close_code) is not None:
                await _close(socket, code)
                return code
            if reader.done():
                return socket.close_code or CloseCode.ABNORMAL
            if local_address is not None and time.monotonic() >= check_at:
                check_at = time.monotonic() + NETWORK_CHECK_INTERVAL_S
                if local_address not in own_addresses():
                    logger.info("signaling socket: the network has changed: %s is gone", local_address)
                    await _close(socket, NETWORK_CHANGED, FAREWELL_DEADLINE_S)
                    return NETWORK_CHANGED
            await self._pause(check_at)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self._session.receive(message.data, time.monotonic())
                self._wake.set()

    async def _pause(self, until: float | None) -> None:
        """Wait for anything to do, not beyond `until` nor the session's next deadline."""
        self._handle_events()
        wake_at = min(self._session.wake_at(), until if until is not None else float("inf"))
        timeout_s = None if wake_at == float("inf") else max(0.0, wake_at - time.monotonic())
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            self._session.wake(time.monotonic())
        self._wake.clear()
        self._handle_events()

    # --- events ---------------------------------------------------------------------------------------------------

    def _work_off(self) -> None:
        """Something has been asked of the session: tell what follows, and let the task write."""
        self._wake.set()
        self._handle_events()

    def _handle_events(self) -> None:
        if self._handling or self._held:
            return  # asked from within an event: the rest follows when that one is done
        self._handling = True
        try:
            while not self._held and (event := self._session.next_event()) is not None:
                self._handle(event)
        finally:
            self._handling = False

    def _handle(self, event: ClientEvent) -> None:
        assert self._room is not None
        match event:
            case SocketWanted(delay_s):
                self._wanted_delay_s = delay_s
            case IceServersKnown(ice_servers):
                self._room.begin(ice_servers, loopback=self._loopback)
            case Connected(message):
                self._held = True
                self._room.connected(message)
            case Updated(message):
                self._room.apply(message, complete=False)
            case Reconnecting(error):
                self._room.link_lost(error)
            case Synced(message):
                self._room.resumed(message)
            case Warned(message):
                logger.info("the service warns of our tracks: %s", dict(message.tracks))
            case Disconnected(error):
                self._tell_end(error)

    def _tell_end(self, error: RoomError | None) -> None:
        assert self._room is not None
        generic = error is not None and type(error) is SignalingConnectionError
        self._room.ended(self._socket_error if generic and self._socket_error is not None else error)


def _address(socket: aiohttp.ClientWebSocketResponse, which: str) -> str | None:
    """Return the IP address of one end, `sockname` or `peername`, without IPv6 zone."""
    found = socket.get_extra_info(which)
    return str(found[0]).partition("%")[0] if isinstance(found, tuple) and found else None


async def _close(socket: aiohttp.ClientWebSocketResponse, code: int, deadline_s: float = 2 * CLOSE_DEADLINE_S) -> None:
    """Close with `code`; closing twice is fine."""
    if not socket.closed:
        try:
            async with asyncio.timeout(deadline_s):
                await socket.close(code=code)
        except TimeoutError:
            logger.debug("nobody answered the farewell of a signaling socket")
        except (OSError, aiohttp.ClientError) as error:
            logger.debug("closing the signaling socket: %s", error)
