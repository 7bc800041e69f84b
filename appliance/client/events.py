"""Event names of the object model, and the emitter behind every object (signaling.md, appendix C).

Handlers are plain functions, called at once on the event loop, in the order they were added. A handler that
raises is logged and does not disturb the others: it belongs to the application, not to the call.
"""

import asyncio
import logging
from collections.abc import Callable
from enum import StrEnum
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

Handler = Callable[..., None]
HandlerT = TypeVar("HandlerT", bound=Handler)


class RoomEvent(StrEnum):
    """What a Room tells; arguments in brackets. `pub` is a publication, `p` a participant."""

    DISCONNECTED = "disconnected"  # (room, error | None)
    RECONNECTING = "reconnecting"  # (error)
    RECONNECTED = "reconnected"  # ()
    PARTICIPANT_CONNECTED = "participant_connected"  # (p)
    PARTICIPANT_DISCONNECTED = "participant_disconnected"  # (p)
    PARTICIPANT_RECONNECTING = "participant_reconnecting"  # (p)
    PARTICIPANT_RECONNECTED = "participant_reconnected"  # (p)
    DOMINANT_SPEAKER_CHANGED = "dominant_speaker_changed"  # (p | None)
    RECORDING_STARTED = "recording_started"  # ()
    RECORDING_STOPPED = "recording_stopped"  # ()
    TRANSCRIPTION = "transcription"  # (what was said, as the service tells it)


class ParticipantEvent(StrEnum):
    """What participants tell; the Room repeats those of remote ones with the participant appended."""

    DISCONNECTED = "disconnected"  # (p)
    RECONNECTING = "reconnecting"  # (p)
    RECONNECTED = "reconnected"  # (p)
    TRACK_PUBLISHED = "track_published"  # (pub)
    TRACK_UNPUBLISHED = "track_unpublished"  # (pub)
    TRACK_SUBSCRIBED = "track_subscribed"  # (track, pub)
    TRACK_UNSUBSCRIBED = "track_unsubscribed"  # (track, pub)
    TRACK_SUBSCRIPTION_FAILED = "track_subscription_failed"  # (error, pub)
    TRACK_ENABLED = "track_enabled"  # remote: (pub), local: (track)
    TRACK_DISABLED = "track_disabled"  # remote: (pub), local: (track)
    TRACK_STARTED = "track_started"  # (track)
    TRACK_STOPPED = "track_stopped"  # local: (track)
    TRACK_MESSAGE = "track_message"  # (data, track)
    TRACK_DIMENSIONS_CHANGED = "track_dimensions_changed"  # (track)
    TRACK_PUBLISH_PRIORITY_CHANGED = "track_publish_priority_changed"  # (priority, pub)
    TRACK_SWITCHED_OFF = "track_switched_off"  # remote: (track, pub)
    TRACK_SWITCHED_ON = "track_switched_on"  # remote: (track, pub)
    NETWORK_QUALITY_LEVEL_CHANGED = "network_quality_level_changed"  # (level, stats | None)
    TRACK_PUBLICATION_FAILED = "track_publication_failed"  # local: (error, track)


REPEATED_BY_ROOM = (
    ParticipantEvent.TRACK_PUBLISHED,
    ParticipantEvent.TRACK_UNPUBLISHED,
    ParticipantEvent.TRACK_SUBSCRIBED,
    ParticipantEvent.TRACK_UNSUBSCRIBED,
    ParticipantEvent.TRACK_SUBSCRIPTION_FAILED,
    ParticipantEvent.TRACK_ENABLED,
    ParticipantEvent.TRACK_DISABLED,
    ParticipantEvent.TRACK_STARTED,
    ParticipantEvent.TRACK_MESSAGE,
    ParticipantEvent.TRACK_DIMENSIONS_CHANGED,
    ParticipantEvent.TRACK_PUBLISH_PRIORITY_CHANGED,
    ParticipantEvent.TRACK_SWITCHED_OFF,
    ParticipantEvent.TRACK_SWITCHED_ON,
)
"""Every track event of a remote participant appears on the Room too, with the participant as last argument."""


class PublicationEvent(StrEnum):
    SUBSCRIBED = "subscribed"  # (track)
    UNSUBSCRIBED = "unsubscribed"  # (track)
    SUBSCRIPTION_FAILED = "subscription_failed"  # (error)
    TRACK_ENABLED = "track_enabled"  # ()
    TRACK_DISABLED = "track_disabled"  # ()
    TRACK_SWITCHED_OFF = "track_switched_off"  # (track)
    TRACK_SWITCHED_ON = "track_switched_on"  # (track)
    PUBLISH_PRIORITY_CHANGED = "publish_priority_changed"  # (priority)


class TrackEvent(StrEnum):
    STARTED = "started"  # (track)
    ENABLED = "enabled"  # (track)
    DISABLED = "disabled"  # (track)
    STOPPED = "stopped"  # (track), local only
    SWITCHED_OFF = "switched_off"  # (track), remote audio and video only
    SWITCHED_ON = "switched_on"  # (track), remote audio and video only
    DIMENSIONS_CHANGED = "dimensions_changed"  # (track), video only
    MESSAGE = "message"  # (data, track), remote data only


class Emitter:
    """Calls handlers by event name. Names are a closed set per class, so that a misspelt one is found at once."""

    EVENTS: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self._handlers: dict[str, list[Handler]] = {}

    def on(self, event: str, handler: HandlerT) -> HandlerT:
        """Call `handler` at every `event`; returns it, to be kept for `off`. Raises ValueError for unknown names."""
        self._handlers.setdefault(self._known(event), []).append(handler)
        return handler

    def off(self, event: str, handler: Handler) -> None:
        """Stop calling `handler`; one that was never added is ignored."""
        handlers = self._handlers.get(self._known(event), [])
        if handler in handlers:
            handlers.remove(handler)

    def emit(self, event: str, *arguments: Any) -> None:
        for handler in tuple(self._handlers.get(self._known(event), ())):
            try:
                handler(*arguments)
            except Exception:
                logger.exception("a handler of %r failed", event)

    async def wait_for(
        self, event: str, timeout_s: float, *, where: Callable[..., bool] = lambda *_: True
    ) -> tuple[Any, ...]:
        """Return the arguments of the next `event` that satisfies `where`.

        Raises:
            TimeoutError: none came within `timeout_s` seconds.
        """
        heard: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()

        def take(*arguments: Any) -> None:
            if not heard.done() and where(*arguments):
                heard.set_result(arguments)

        self.on(event, take)
        try:
            async with asyncio.timeout(timeout_s):
                return await heard
        finally:
            self.off(event, take)

    def _known(self, event: str) -> str:
        if event not in self.EVENTS:
            raise ValueError(f"{type(self).__name__} has no event {event!r}; it has {', '.join(sorted(self.EVENTS))}")
        return str(event)
