"""The delivery engine: what is due to one sink, in order within each room, until it is delivered (callbacks.md 9, 10).

commit ─▶ wake(room) ─▶ one task for the room: head of its queue ─▶ sink ─▶ outcome written ─▶ next head …
"""

import asyncio
import logging
from collections import Counter
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from appliance.clock import Clock
from appliance.rooms.delivery import NextStep, Outcome, OutcomeClass, next_step
from appliance.rooms.store.columns import DamagedRow
from appliance.rooms.store.deliveries import (
    DeliveryState,
    Due,
    give_up_damaged,
    head_of_queue,
    waiting_rooms,
    write_outcome,
)
from appliance.rooms.store.store import Store, StoreUnavailable
from appliance.sids import RoomSid

log = logging.getLogger(__name__)

MAX_PARALLEL = 32
LOOK_EVERY_S = 2.0
"""For what others put into the queues, as replayed dead letters."""


class Sink(Protocol):
    """Where events go."""

    name: str
    """In the delivery table: `http`, `mqtt` or `notice`."""
    ages: bool
    """Whether an event is given up for its age."""

    def place(self, due: Due) -> str:
        """Return the host it goes to, for the log."""

    def turn(self, due: Due) -> AbstractAsyncContextManager[None]:
        """Hold one of the few places at the receiver of this event."""

    async def ready(self, due: Due) -> None:
        """Wait until an attempt makes sense, e.g. until there is a connection. Takes as long as it takes."""

    async def deliver(self, due: Due) -> Outcome:
        """Make one attempt, within a deadline; what goes wrong outside is an outcome, not an exception."""


@dataclass(slots=True)
class OutboxFigures:
    """What was done since the start; `attempts` by what they came to."""

    delivered: int = 0
    dead: int = 0
    attempts: Counter[str] = field(default_factory=Counter)

    def note(self, outcome: Outcome) -> None:
        self.attempts[outcome.kind.value] += 1
        self.delivered += outcome.kind is OutcomeClass.DELIVERED


class Outbox:
    """Delivers to one sink. A receiver that is slow holds up its own room only."""

    def __init__(self, store: Store, sink: Sink, clock: Clock, random: Random, *, notices: bool = False) -> None:
        """Set up.

        Args:
            notices: what is given up is due to the sink `notice` from then on.
        """
        self._notices = notices
        self._store = store
        self._sink = sink
        self._clock = clock
        self._random = random
        self._turns = asyncio.Semaphore(MAX_PARALLEL)
        self.figures = OutboxFigures()
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._tasks: asyncio.TaskGroup | None = None

    @property
    def sink_name(self) -> str:
        return self._sink.name

    async def run(self) -> None:
        """Deliver until cancelled, beginning with what an earlier life left."""
        async with asyncio.TaskGroup() as self._tasks:
            begun = False
            while True:
                try:
                    waiting = await self._look()
                    if waiting and not begun:
                        log.info("%s: events of %d rooms wait to be delivered", self._sink.name, waiting)
                    begun = True
                except StoreUnavailable as error:
                    log.debug("%s: the queues cannot be read: %s", self._sink.name, error)
                await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self) -> int:
        """Wake every room with something pending; return how many there are."""
        async with self._store.read() as connection:
            waiting = await waiting_rooms(connection, self._sink.name)
        for room_sid in waiting:
            if room_sid not in self._working:
                self.wake(RoomSid(room_sid))
        return len(waiting)

    def wake(self, room_sid: RoomSid) -> None:
        """Look at the queue of a room: something new was committed."""
        if not self._tasks:
            return  # `run` will find it when it begins
        if room_sid in self._working:
            self._again.add(room_sid)
            return
        self._working.add(room_sid)
        self._tasks.create_task(self._work(room_sid), name=f"{self._sink.name} events of {room_sid}")

    async def _work(self, room_sid: RoomSid) -> None:
        try:
            while True:
                self._again.discard(room_sid)
                due = await self._head(room_sid)
                if due:
                    await self._attempt(due)
                elif room_sid not in self._again:
                    return
        except StoreUnavailable as error:
            log.debug("%s: the queue of %s cannot be read: %s", self._sink.name, room_sid, error)  # `run` looks again
        finally:
            # No await since the last look: a wake that comes later starts a task of its own.
            self._working.discard(room_sid)

    async def _head(self, room_sid: str) -> Due | None:
        while True:
            try:
                async with self._store.read() as connection:
                    return await head_of_queue(connection, self._sink.name, room_sid)
            except DamagedRow as error:
                log.error("store: %s; it is not delivered to %s", error, self._sink.name)
                self.figures.dead += 1
                await self._store.write(give_up_damaged(error, self._sink.name, self._clock.now()))

    async def _attempt(self, due: Due) -> None:
        if due.next_at:
            await asyncio.sleep(max(0.0, (due.next_at - self._clock.now()).total_seconds()))
        # The receiver's turn first: those who wait for one that hangs must not hold the places of all others.
        async with self._sink.turn(due):
            await self._sink.ready(due)
            async with self._turns:
                began = self._clock.monotonic()
                outcome = await self._deliver(due)
        self.figures.note(outcome)
        took_s = self._clock.monotonic() - began
        now = self._clock.now()
        step = next_step(
            outcome,
            name=due.name,
            attempts=due.attempts + 1,
            occurred_at=due.occurred_at if self._sink.ages else now,
            now=now,
            random=self._random,
        )
        _log(due, self._sink.place(due), outcome, step, took_s)
        await self._settle(due, outcome, step)
        if step.whole_queue:
            await self._give_up_queue(due, outcome)

    async def _settle(self, due: Due, outcome: Outcome, step: NextStep, *, attempted: bool = True) -> None:
        state = _state(step)
        dead = state is DeliveryState.DEAD
        self.figures.dead += dead
        await self._store.write(
            write_outcome(
                due,
                state,
                now=self._clock.now(),
                next_at=step.next_at,
                status=outcome.status,
                error=outcome.error,
                attempted=attempted,
                notice=dead and self._notices,
            )
        )

    async def _give_up_queue(self, first: Due, outcome: Outcome) -> None:
        """Give up what waits behind an event whose receiver is gone."""
        while due := await self._head(first.room_sid):
            log.error("%s %s of %s to %s: dead: %s", due.name, due.event_id, due.room_sid, due.sink, outcome.error)
            await self._settle(due, outcome, NextStep(), attempted=False)

    async def _deliver(self, due: Due) -> Outcome:
        try:
            return await self._sink.deliver(due)
        except Exception as error:
            # A bug over one event must not end everybody's calls, and again at every start.
            log.exception("delivering %s to %s failed", due.event_id, due.sink)
            return Outcome(kind=OutcomeClass.REFUSED, error=f"{type(error).__name__}: {error}")


def _state(step: NextStep) -> DeliveryState:
    if step.delivered:
        return DeliveryState.DELIVERED
    return DeliveryState.PENDING if step.next_at else DeliveryState.DEAD


def _log(due: Due, place: str, outcome: Outcome, step: NextStep, took_s: float) -> None:
    """One line for each attempt; never the address's query, the body or the signature (callbacks.md 11)."""
    level = logging.INFO if step.delivered or step.next_at else logging.ERROR
    log.log(
        level,
        "%s %s of %s to %s at %s: %s, status %s, attempt %d, %.3f s%s",
        due.name,
        due.event_id,
        due.room_sid,
        due.sink,
        place,
        outcome.kind if step.delivered or step.next_at else "dead",
        "none" if outcome.status is None else outcome.status,
        due.attempts + 1,
        took_s,
        f": {outcome.error}" if outcome.error else "",
    )
