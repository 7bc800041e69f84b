"""Our end of the service's own data channels: speakers, quality, what is off, what we look at (signaling.md 5).

    state messages ─▶ granted ─┐                       ┌─▶ listener: what the service told
    media ──────────▶ bind ────┴─▶ one channel a name ─┤
    tracks ─▶ set_priority, hint, forget               └─◀ hinting, report pace: what is told, and when

A label may come before or after its channel. A channel that closes is let go, and the next label takes its place; what
had been told over it is told again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from appliance.client.hinting import Hinting
from appliance.client.link_report import NEVER, Counters, NetworkQualityConfiguration, ReportPace, report
from appliance.client.room_media import IncomingChannel
from appliance.errors import RemoteProtocolError
from appliance.media_engine import Dimensions, TrackPriority
from appliance.signaling.fields import Json
from appliance.signaling.quality import QualityReply
from appliance.signaling.side_channels import (
    ActiveSpeaker,
    Channel,
    PublisherHint,
    PublisherHintResults,
    PublisherHints,
    Ready,
    RenderHintResults,
    ServiceChannelMessage,
    TrackPriorityWish,
    TrackResult,
    TrackSwitchOff,
    Transcription,
    message_of_service,
    text_of,
)

logger = logging.getLogger(__name__)


class MediaSignalingListener(Protocol):
    """Told on the event loop what the service says."""

    def speaker_told(self, participant_sid: str | None) -> None: ...
    def quality_told(self, reply: QualityReply) -> None: ...
    def switched_off(self, off: tuple[str, ...], on: tuple[str, ...]) -> None: ...
    def transcribed(self, said: Json) -> None: ...
    def layers_told(self, hint: PublisherHint) -> TrackResult: ...


class MediaSignaling:
    """See the module.

    Args:
        figures: reads the counters of the connection in use; None without any.
        quality: how much is to be told of it.
    """

    def __init__(
        self,
        listener: MediaSignalingListener,
        figures: Callable[[], Awaitable[Counters | None]],
        quality: NetworkQualityConfiguration,
    ) -> None:
        self.quality = quality
        self._listener = listener
        self._figures = figures
        self._labels: dict[Channel, str] = {}
        self._channels: dict[Channel, IncomingChannel] = {}
        self._hinting = Hinting()
        self._priorities: dict[str, TrackPriority | None] = {}
        self._pace = ReportPace()
        self._before: Counters | None = None
        self._reporting: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    # --- channels -------------------------------------------------------------------------------------------------

    def granted(self, labels: Mapping[str, str]) -> None:
        """The service names the channels that it opens, by what they are for."""
        known = {name: label for name, label in labels.items() if name in tuple(Channel)}
        self._labels.update({Channel(name): label for name, label in known.items()})

    def bind(self, find: Callable[[str], IncomingChannel | None]) -> None:
        """Take the channels that are there by now."""
        if self._closed:
            return
        for name, label in self._labels.items():
            channel = find(label)
            if channel is not None and channel is not self._channels.get(name):
                self._attach(name, channel)

    def is_open(self, name: Channel) -> bool:
        return name in self._channels

    async def close(self) -> None:
        """Say no more. The channels end with their peer connection."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for channel in self._channels.values():
            channel.let_go()
        self._channels.clear()
        if self._reporting is not None:
            self._reporting.cancel()
            await asyncio.gather(self._reporting, return_exceptions=True)

    def _attach(self, name: Channel, channel: IncomingChannel) -> None:
        logger.debug("media signaling: %s over %s", name, channel.label)
        before = self._channels.get(name)
        if before is not None:
            before.let_go()
        self._channels[name] = channel
        channel.on_closed = lambda: self._detach(name, channel)
        channel.send(text_of(Ready()))
        channel.deliver_to(lambda message: self._take(name, message))
        match name:
            case Channel.RENDER_HINTS:
                self._hinting.attached()
            case Channel.TRACK_PRIORITY:
                for track, priority in self._priorities.items():
                    channel.send(text_of(TrackPriorityWish(track=track, subscribe=priority)))
            case Channel.NETWORK_QUALITY:
                self._pace.attached(self._loop.time())
        self._work()

    def _detach(self, name: Channel, channel: IncomingChannel) -> None:
        if self._channels.get(name) is channel:
            del self._channels[name]
            if name is Channel.NETWORK_QUALITY:
                self._pace.detached()

    # --- what we say ----------------------------------------------------------------------------------------------

    def set_priority(self, track: str, priority: TrackPriority | None) -> None:
        """Care so much for a track, by its SID; None: as much as its publisher says."""
        self._priorities[track] = priority
        self._say(Channel.TRACK_PRIORITY, text_of(TrackPriorityWish(track=track, subscribe=priority)))

    def hint(self, track: str, *, enabled: bool | None = None, dimensions: Dimensions | None = None) -> None:
        """Tell whether and how large a video is shown; None leaves as it was. What one turn of the loop says is sent
        in one message.
        """
        self._hinting.wish(track, enabled=enabled, dimensions=dimensions)
        self._loop.call_soon(self._work)

    def forget(self, track: str) -> None:
        """The track is not received any more."""
        self._hinting.forget(track)
        self._priorities.pop(track, None)

    def _say(self, name: Channel, text: str) -> None:
        channel = self._channels.get(name)
        if channel is not None:
            channel.send(text)

    def _work(self) -> None:
        """Say what is due, and see to it that we are called again."""
        if self._closed:
            return
        now = self._loop.time()
        if self.is_open(Channel.RENDER_HINTS) and (hints := self._hinting.next_message(now)) is not None:
            self._say(Channel.RENDER_HINTS, text_of(hints))
        if now >= self._pace.due_at:
            self._pace.sent(now)
            if self._reporting is None or self._reporting.done():
                self._reporting = asyncio.create_task(self._report(), name="media signaling report")
        hint_at = self._hinting.wake_at() if self.is_open(Channel.RENDER_HINTS) else NEVER
        wake_at = min(self._pace.due_at, hint_at)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(wake_at, self._work) if wake_at != NEVER else None

    async def _report(self) -> None:
        after = await self._figures()
        if after is not None:
            before, self._before = self._before, after
            self._say(Channel.NETWORK_QUALITY, text_of(report(before, after, self.quality)))

    # --- what we are told -----------------------------------------------------------------------------------------

    def _take(self, name: Channel, text: str | bytes) -> None:
        if isinstance(text, bytes):
            return
        try:
            message = message_of_service(name, text)
        except RemoteProtocolError as error:
            logger.warning("media signaling: %s: %s", name, error)
            return
        self._apply(message)
        self._work()

    def _apply(self, message: ServiceChannelMessage) -> None:
        match message:
            case ActiveSpeaker(participant=sid):
                self._listener.speaker_told(sid)
            case QualityReply():
                self._pace.answered(self._loop.time())
                self._listener.quality_told(message)
            case RenderHintResults():
                self._hinting.answered(message)
            case TrackSwitchOff(off=off, on=on):
                self._listener.switched_off(off, on)
            case PublisherHints(id=id, hints=hints):
                results = PublisherHintResults(id=id, hints=tuple(self._listener.layers_told(hint) for hint in hints))
                self._say(Channel.PUBLISHER_HINTS, text_of(results))
            case Transcription(said=said):
                self._listener.transcribed(said)
