"""What one participant receives: which of the wanted tracks have a section or a channel; what it is told of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from appliance.media_engine import Subscription, TrackKind
from appliance.sfu.connection import Connection
from appliance.sfu.consumer import Consumer
from appliance.sfu.data_relay import DataRelay
from appliance.sfu.router import Router
from appliance.sfu.sections import Section
from appliance.sids import TrackSid

NO_CODEC = (53404, "No supported codec")
_MOST_REFUSALS = 2


class Subscriptions:
    """Brings about what is `wanted`, on whatever connection there is. `is_own`: nobody receives what it publishes."""

    def __init__(self, router: Router, is_own: Callable[[TrackSid], bool]) -> None:
        self._router = router
        self._is_own = is_own
        self._refusals: dict[TrackSid, int] = {}
        self._told: tuple[Subscription, ...] = ()
        self.wanted: frozenset[TrackSid] = frozenset()
        self.consumers: dict[TrackSid, Consumer] = {}

    def take_change(self) -> tuple[Subscription, ...] | None:
        """Return what is received now where that is not what was returned before."""
        now = tuple(consumer.subscription() for _, consumer in sorted(self.consumers.items()))
        changed, self._told = now if now != self._told else None, now
        return changed

    # --- giving places

    def place(self, connection: Connection, relay: DataRelay, *, in_answer: bool) -> None:
        """Give each wanted track that can be had a section or a channel; an answer cannot add sections."""
        for sid in sorted(self.wanted):
            producer = self._router.find(sid)
            if producer is None or self._is_own(sid) or sid in self.consumers:
                continue
            consumer = Consumer(producer, secrets.token_hex(8))
            if consumer.kind is TrackKind.DATA:
                placed = self._place_data(connection, relay, consumer, in_answer=in_answer)
            else:
                placed = self._place_media(connection, consumer, in_answer=in_answer)
            if placed:
                self.consumers[sid] = consumer
            else:
                consumer.close()

    @staticmethod
    def _place_data(connection: Connection, relay: DataRelay, consumer: Consumer, *, in_answer: bool) -> bool:
        if connection.sections.data is None:
            if in_answer or not connection.sections.lacks_data:
                return False
            connection.sections.add_data()
        relay.subscribe(consumer)
        return True

    def _place_media(self, connection: Connection, consumer: Consumer, *, in_answer: bool) -> bool:
        sections, kind = connection.sections, consumer.kind.value
        if not self._can_receive(connection, consumer):
            consumer.error = NO_CODEC
            return True
        section = sections.free_place(kind, in_answer=in_answer)
        if section is None:
            if in_answer:
                return False
            section = sections.add_media(kind)
        section.consumer = consumer
        consumer.slot = connection.new_slot(section)
        return True

    def _can_receive(self, connection: Connection, consumer: Consumer) -> bool:
        producer = consumer.producer
        if self._refusals.get(producer.track.sid, 0) >= _MOST_REFUSALS:
            return False
        return connection.sections.can_receive(consumer.kind.value, producer.codec)

    # --- taking them away

    def drop_unwanted(self, connection: Connection) -> None:
        for sid, consumer in list(self.consumers.items()):
            is_meant = sid in self.wanted and self._router.find(sid) is consumer.producer
            if not is_meant or self._has_other_fate(connection, consumer):
                self.displace(consumer, connection)

    def _has_other_fate(self, connection: Connection, consumer: Consumer) -> bool:
        """Tell whether what comes can be received and was refused, or the other way round: codecs become known late."""
        if consumer.kind is TrackKind.DATA:
            return False
        return self._can_receive(connection, consumer) == (consumer.error is not None)

    def displace(self, consumer: Consumer, connection: Connection | None) -> None:
        """Take a subscription out of its place; if it is still wanted, it gets another, and a new id with it."""
        self.consumers.pop(consumer.producer.track.sid, None)
        if connection is not None:
            for section in connection.sections:
                if section.consumer is consumer:
                    section.consumer = None
        consumer.close()

    def displace_all(self, connection: Connection | None) -> None:
        for consumer in list(self.consumers.values()):
            self.displace(consumer, connection)

    def displace_what_is_not_taken(self, connection: Connection) -> None:
        """Free the sections in which the client, by its own offer, receives nothing."""
        for section in connection.sections:
            if section.consumer is not None and not section.remote.client_receives:
                self.displace(section.consumer, connection)

    def refused(self, section: Section, connection: Connection) -> None:
        """The client does not take a section; who is refused too often is given up (53404)."""
        if section.consumer is not None:
            sid = section.consumer.producer.track.sid
            self._refusals[sid] = self._refusals.get(sid, 0) + 1
            self.displace(section.consumer, connection)

    # --- letting flow

    @staticmethod
    def go_live(connection: Connection) -> bool:
        """Let flow what both sides have described by now; tell whether anything began."""
        began = False
        for section in connection.sections:
            consumer = section.consumer
            if consumer is not None and section.described_sending and not consumer.is_live:
                consumer.go_live()
                began = True
        return began
