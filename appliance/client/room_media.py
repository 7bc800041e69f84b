"""All peer connections of one room: mostly one, two while one is being replaced.

Finds by subscription id what arrives, whichever connection it arrives on and in whatever order media, channels and
`subscribed` come. Replaces a connection that failed by a new one with all tracks, since aiortc cannot restart ICE
(signaling.md B3, 4.7).
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from aiortc import InvalidStateError, RTCDataChannel

from appliance.backoff import KIOSK_RECONNECT_STEPS_S, Backoff
from appliance.client import peer_connection
from appliance.client.encoded_media import IncomingMedia
from appliance.client.link_report import Counters
from appliance.client.local_tracks import LocalTrack
from appliance.client.network import own_addresses
from appliance.client.peer_connection import PeerConnection, PeerConnectionSettings
from appliance.errors import MediaConnectionError, RoomError
from appliance.media_engine import DescriptionType, PeerConnectionState

logger = logging.getLogger(__name__)

CHECK_INTERVAL_S = 1.0

REPLACEMENT_S = 2.0
"""A connection that the service replaces is not missed for so long; after that the application is told."""

MESSAGES_WAITING = 100
"""Messages that arrive before we know whose channel it is are kept so many deep."""


class RoomMediaListener(Protocol):
    """Told on the event loop what happens to the room's media."""

    def send(self, state: PeerConnectionState) -> None: ...
    def media_changed(self) -> None: ...
    def media_connected(self) -> None: ...
    def media_failed(self, error: RoomError) -> None: ...
    def track_failed(self, track: LocalTrack, error: RoomError) -> None: ...


class IncomingChannel:
    """A data channel that the service opened towards us."""

    def __init__(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        self.on_closed: Callable[[], None] = _nobody_cares
        """Set by whoever uses the channel; called once, when it is gone."""
        self.label = channel.label
        self.ordered = channel.ordered
        self.max_packet_life_time = channel.maxPacketLifeTime
        self.max_retransmits = channel.maxRetransmits
        self._deliver: Callable[[str | bytes], None] | None = None
        self._waiting: deque[str | bytes] = deque(maxlen=MESSAGES_WAITING)
        channel.on("message", self._take)

    @property
    def is_taken(self) -> bool:
        return self._deliver is not None

    def deliver_to(self, deliver: Callable[[str | bytes], None] | None) -> None:
        """Hand messages over, those first that came before."""
        self._deliver = deliver
        while deliver is not None and self._waiting:
            deliver(self._waiting.popleft())

    def send(self, message: str) -> None:
        """Write a text; one for a channel that is closing just now is lost."""
        with contextlib.suppress(InvalidStateError):
            self._channel.send(message)

    def let_go(self) -> None:
        """Hear of it no more."""
        self._deliver, self.on_closed = None, _nobody_cares

    def runs_over(self, connection: PeerConnection) -> bool:
        return connection.carries(self._channel)

    def _take(self, message: str | bytes) -> None:
        if self._deliver is None:
            self._waiting.append(message)
        else:
            self._deliver(message)


def _nobody_cares() -> None:
    return


class RoomMedia:
    """See the module. A PeerConnectionListener of its own connections."""

    def __init__(self, settings: PeerConnectionSettings, listener: RoomMediaListener) -> None:
        self._settings = settings
        self._listener = listener
        self._tracks: tuple[LocalTrack, ...] = ()
        self._connections: dict[str, PeerConnection] = {}
        self._given_up: set[str] = set()  # ids never come back (signaling.md 2.8)
        self._channels: dict[str, IncomingChannel] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._backoff = Backoff(Random(), KIOSK_RECONNECT_STEPS_S)
        self._unanswered = 0  # connections in a row whose offer the service did not answer
        self._retry: asyncio.TimerHandle | None = None
        self._missed: asyncio.TimerHandle | None = None
        self._watching: asyncio.Task[None] | None = None
        self._closed = False

    # --- driven by the room ---------------------------------------------------------------------------------------

    def begin(self, tracks: Sequence[LocalTrack]) -> None:
        """Make the first connection and its offer, with everything that is published from the start."""
        self._tracks = tuple(tracks)
        self._add(None).offer()
        self._watching = asyncio.create_task(self._watch(), name="media watch")

    def set_tracks(self, tracks: Sequence[LocalTrack]) -> None:
        self._tracks = tuple(tracks)
        for connection in self._connections.values():
            connection.set_tracks(self._tracks)

    def handle(self, states: Sequence[PeerConnectionState]) -> None:
        """Take what the service says of our connections; one that we do not know is made, unless all are closed."""
        if self._closed:
            return
        for state in states:
            if state.id in self._given_up:
                continue
            description = state.description
            if description is not None and description.type is DescriptionType.CLOSE:
                self._closed_by_service(state.id)
                continue
            connection = self._connections.get(state.id)
            if connection is None and description is None:
                continue
            (connection or self._add_for_service(state.id)).handle(state)
        if not self._connections and self._retry is None:
            self._try_again_later()  # nothing else would bring media back

    def keep_only(self, states: Sequence[PeerConnectionState]) -> None:
        """A `synced` listed connections: others are closed (signaling.md 2.8).

        One that was offered while the service made up its list is unknown to it still.
        """
        listed = {state.id for state in states}
        for id in [id for id, found in self._connections.items() if id not in listed and found.was_answered]:
            self._drop(id)

    def incoming(self, subscription_id: str) -> IncomingMedia | None:
        """Return what arrives under an id of `subscribed`, the newest connection first."""
        for connection in reversed(self._connections.values()):
            if subscription_id in connection.media:
                return connection.media[subscription_id]
        return None

    def channel(self, label: str) -> IncomingChannel | None:
        return self._channels.get(label)

    def replace(self) -> None:
        """Give all connections up and make a new one with all tracks: the network under them has changed."""
        if self._closed:
            return
        self._cancel_retry()
        for connection in tuple(self._connections.values()):
            self._give_up(connection)
        connection = self._add(None)
        connection.offer()
        self._expect_answer(connection)

    @property
    def connections(self) -> tuple[PeerConnection, ...]:
        return tuple(self._connections.values())

    async def counters(self) -> Counters | None:
        """Read the newest connection's counters; None without any."""
        newest = next(reversed(self._connections.values()), None)
        return await newest.counters() if newest is not None else None

    async def close(self) -> None:
        """End every connection and wait for it."""
        self._closed = True
        self._cancel_retry()
        self._not_missed()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        for id in tuple(self._connections):
            self._drop(id)
        await asyncio.gather(*self._closing)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(CHECK_INTERVAL_S)
            addresses = own_addresses()
            for connection in tuple(self._connections.values()):
                connection.check(time.monotonic(), addresses)

    # --- told by connections --------------------------------------------------------------------------------------

    def send(self, state: PeerConnectionState) -> None:
        self._listener.send(state)

    def media_changed(self) -> None:
        self._listener.media_changed()

    def channel_opened(self, channel: RTCDataChannel) -> None:
        incoming = IncomingChannel(channel)
        self._channels[incoming.label] = incoming
        channel.on("close", lambda: self._channel_closed(incoming))
        self._listener.media_changed()

    def connected(self, connection: PeerConnection) -> None:
        logger.info("media connected over %s", connection.id)
        self._backoff.reset()
        self._unanswered = 0
        self._not_missed()
        self._cancel_retry()  # it was given up, and made it after all
        self._listener.media_connected()

    def failed(self, connection: PeerConnection, error: RoomError) -> None:
        if self._closed or connection.id not in self._connections:
            return
        logger.warning("media lost on %s: %s (%d)", connection.id, error, error.code)
        if connection is not next(reversed(self._connections.values())):
            self._give_up(connection)  # another has its place already, and says by itself how it fares
            return
        self._unanswered += not connection.was_answered
        self._not_missed()
        self._listener.media_failed(error)
        self._try_again_later()

    def track_failed(self, track: LocalTrack, error: RoomError) -> None:
        self._listener.track_failed(track, error)

    def _channel_closed(self, channel: IncomingChannel) -> None:
        if self._channels.get(channel.label) is channel:
            del self._channels[channel.label]
            channel.on_closed()

    # --- one connection for another ---------------------------------------------------------------------------------

    def _try_again_later(self) -> None:
        self._cancel_retry()
        self._retry = asyncio.get_running_loop().call_later(self._backoff.next_delay_s(), self.replace)

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _closed_by_service(self, id: str) -> None:
        connection = self._connections.get(id)
        if connection is not None and connection.is_connected and self._missed is None:
            loop = asyncio.get_running_loop()
            self._missed = loop.call_later(REPLACEMENT_S, self._miss)
        self._drop(id)

    def _miss(self) -> None:
        self._missed = None
        self._listener.media_failed(MediaConnectionError("the service gave the media connection up"))

    def _not_missed(self) -> None:
        if self._missed is not None:
            self._missed.cancel()
            self._missed = None

    def _add_for_service(self, id: str) -> PeerConnection:
        """Make the connection that the service asks for; it answers none that we have offered meanwhile (4.7)."""
        self._cancel_retry()
        for older in [each for each in self._connections.values() if not each.was_answered]:
            self._give_up(older)
        connection = self._add(id)
        self._expect_answer(connection)
        return connection

    def _expect_answer(self, connection: PeerConnection) -> None:
        # Twice as long each time: a service that is slow, and no more than that, gets there.
        connection.expect_answer(peer_connection.ANSWER_DEADLINE_S * 2**self._unanswered)

    def _give_up(self, connection: PeerConnection) -> None:
        self._listener.send(PeerConnectionState(id=connection.id, description=connection.close_description()))
        self._drop(connection.id)

    def _add(self, id: str | None) -> PeerConnection:
        for older in self._connections.values():
            older.release_tracks()  # a source feeds one sender at a time
        connection = PeerConnection(self._settings, self, id=id)
        self._connections[connection.id] = connection
        connection.set_tracks(self._tracks)
        return connection

    def _drop(self, id: str) -> None:
        connection = self._connections.pop(id, None)
        self._given_up.add(id)
        if connection is not None:
            connection.release_tracks()
            for channel in [channel for channel in self._channels.values() if channel.runs_over(connection)]:
                self._channel_closed(channel)
            task = asyncio.create_task(connection.close(), name=f"close peer connection {id[:8]}")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
