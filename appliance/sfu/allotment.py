"""Bring about what allocation decides: each video's layer, switched off or on, for one participant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol

from appliance.media_engine import (
    Dimensions,
    Happening,
    ReceivingHint,
    ReceivingWishes,
    SwitchedOff,
    SwitchOffMode,
    TrackKind,
    VideoMode,
)
from appliance.sfu.allocation import OFF, Sharing, Video, allocate, cost_of, higher_priority, next_cost
from appliance.sfu.layers import Patience, Step, highest_of_use, place_of, steps_of
from appliance.sfu.pressure import Pressure
from appliance.sids import ParticipantSid, TrackSid

if TYPE_CHECKING:
    from appliance.sfu.connection import Connection
    from appliance.sfu.consumer import Consumer

DECIDE_EVERY_S = 0.25
PAD_EVERY_S = 0.01
MARGIN = 1.15
"""So much more than a step takes must be allowed before we go up to it."""

_FOR_RESENDING = 0.95
_NO_HINT = ReceivingHint()
_UNDECIDED = Step(-1, None, 0.0)


class Timer(Protocol):
    """Something that was to happen later."""

    def cancel(self) -> None: ...


class Allotment:
    """Shares one participant's connection between the videos it receives.

    `emit` tells the listener; `loudest` is who speaks in the room; `pressure` is the machine's; `later` stands for
    the event loop's `call_later`.
    """

    def __init__(
        self,
        emit: Callable[[Happening], None],
        loudest: Callable[[], ParticipantSid | None],
        pressure: Pressure,
        later: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        self._emit = emit
        self._loudest = loudest
        self._pressure = pressure
        self._later = later or asyncio.get_running_loop().call_later
        self._wishes = ReceivingWishes()
        self._given: dict[TrackSid, Step | None] = {}  # None: off
        self._told_off: frozenset[TrackSid] = frozenset()
        self._patience: Patience[TrackSid] = Patience()
        self._next_decision = 0.0
        self._padding: Timer | None = None
        self._padded_at = 0.0
        self._unpadded = 0.0  # octets

    def wish(self, wishes: ReceivingWishes) -> None:
        """What is wished has changed; it is decided anew at the next tick, without the usual waiting."""
        if wishes != self._wishes:
            self._wishes = wishes
            self._patience = Patience(up_after_s=self._patience.up_after_s)
            self.hurry()

    def hurry(self) -> None:
        """Decide at the next tick."""
        self._next_decision = 0.0

    def tick(self, connection: Connection, consumers: Collection[Consumer], now: float) -> None:
        """Decide, where it is time to; called every 50 ms or so."""
        if now < self._next_decision or not connection.is_ready:
            return
        self._next_decision = now + DECIDE_EVERY_S
        connection.downlink.sent(connection.sent_totals(), now)
        live = {
            consumer.producer.track.sid: consumer
            for consumer in consumers
            if consumer.is_live and consumer.kind is TrackKind.VIDEO and consumer.error is None
        }
        videos = [self._video(consumer, now) for consumer in live.values()]
        self._decide(connection, videos, now)
        is_urgent = connection.downlink.budget.is_urgent(now) or not self._pressure.is_off
        for sid, consumer in live.items():
            self._apply(consumer, self._given[sid], at_once=is_urgent)
        self._tell(frozenset(live))
        if connection.downlink.budget.padding_bps > 0 and self._padding is None:
            self._padded_at, self._unpadded = now, 0.0
            self._pad(connection)

    # --- what is wanted

    def _video(self, consumer: Consumer, now: float) -> Video:
        track = consumer.producer.track
        hint = self._wishes.hints.get(track.sid, _NO_HINT)
        profile = self._wishes.profile
        priority = hint.priority or track.priority
        if profile is not None and consumer.producer.owner_sid == self._loudest():
            priority = higher_priority(priority, profile.active_speaker_priority)
        size = hint.dimensions
        if size is None and profile is not None:
            size = profile.render_dimensions.get(priority)
        layers = consumer.producer.layers(now)
        consumer.layer_of_use = highest_of_use(layers, _usable(size)) if hint.visible and layers else -1
        return Video(
            sid=track.sid,
            priority=priority,
            steps=steps_of(layers, _usable(size)),
            is_visible=hint.visible,
            size=_usable(size),
            was_on=self._given.get(track.sid, _UNDECIDED) is not None,
        )

    def _sharing(self, *, is_congested: bool) -> Sharing:
        profile = self._wishes.profile
        if profile is None:
            return Sharing(mode=VideoMode.GRID, may_switch_off=False)
        may_switch_off = profile.switch_off is SwitchOffMode.PREDICTED or (
            profile.switch_off is SwitchOffMode.DETECTED and (is_congested or profile.max_bitrate_bps is not None)
        )
        return Sharing(mode=profile.mode, max_tracks=profile.max_tracks, may_switch_off=may_switch_off)

    # --- deciding

    def _decide(self, connection: Connection, videos: list[Video], now: float) -> None:
        link = connection.downlink
        budget = link.budget
        sharing = self._sharing(is_congested=budget.is_congested or not self._pressure.is_off)
        limit = self._wishes.profile.max_bitrate_bps if self._wishes.profile is not None else None
        most_bps = float("inf") if limit is None else float(limit)
        room_bps = min(budget.allowed_bps * _FOR_RESENDING, most_bps)
        ideal = allocate(videos, most_bps, sharing)
        if not self._pressure.is_off:
            room_bps = self._pressure.share * min(room_bps, cost_of(videos, ideal))
        safe_bps = min(room_bps / MARGIN, most_bps)
        if cost_of(videos, ideal) < safe_bps:
            most = safe = ideal  # what fits whole is shared the same way, however much more is allowed
        else:
            most = allocate(videos, room_bps, sharing)
            safe = allocate(videos, safe_bps, sharing)
        now_at = {
            video.sid: OFF if given is None else place_of(video.steps, given)
            for video in videos
            if (given := self._given.get(video.sid, _UNDECIDED)) is not _UNDECIDED
        }
        places = self._patience.settle(now_at, most, safe, now)
        self._given = {
            video.sid: None if places[video.sid] == OFF else video.steps[places[video.sid]] for video in videos
        }

        def on_the_wire(video_bps: float) -> float:
            return MARGIN * video_bps / _FOR_RESENDING

        cheapest = next_cost([v for v in videos if ideal[v.sid] > places[v.sid]], places)
        rest = cost_of([v for v in videos if ideal[v.sid] <= places[v.sid]], places)
        budget.update(
            link.video_bps,
            link.extra_bps,
            on_the_wire(cost_of(videos, ideal)),
            None if cheapest is None else on_the_wire(cheapest + rest),
            now,
        )

    # --- doing

    @staticmethod
    def _apply(consumer: Consumer, step: Step | None, *, at_once: bool) -> None:
        consumer.show(None if step is None else step.layer, at_once=at_once)
        if consumer.slot is not None and step is not None:
            consumer.slot.thin(step.temporal)

    def _tell(self, live: frozenset[TrackSid]) -> None:
        off = frozenset(sid for sid, step in self._given.items() if step is None)
        before = self._told_off & live
        if off != before:
            self._emit(SwitchedOff(off=off - before, on=before - off))
        self._told_off = off

    def _pad(self, connection: Connection) -> None:
        """Send what the probe asks for in small portions, so that it looks like a stream and not like bursts."""
        now = connection.now()
        budget = connection.downlink.budget
        self._padding = None
        if budget.padding_bps <= 0 or not connection.is_ready:
            return
        self._unpadded += budget.padding_bps / 8 * min(now - self._padded_at, 5 * PAD_EVERY_S)
        self._unpadded -= connection.pad(int(self._unpadded), now)
        self._padded_at = now
        self._padding = self._later(PAD_EVERY_S, lambda: self._pad(connection))

    def close(self) -> None:
        """The connection ends; what is wished stays for the next one, where every track begins switched on."""
        if self._padding is not None:
            self._padding.cancel()
            self._padding = None
        self._given = {}
        self._told_off = frozenset()


def _usable(size: Dimensions | None) -> Dimensions | None:
    return size if size is not None and size.width > 0 and size.height > 0 else None
