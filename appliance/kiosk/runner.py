"""The kiosk while it runs: inbox → step → do → show. `submit`, from any thread, is the only way in."""

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Protocol, TypeVar

from appliance.clock import Clock
from appliance.errors import CommandRefused
from appliance.kiosk import machine
from appliance.kiosk.effects import Answer, Effect, EndProgram, Report, StartTimer, StopTimer, Timer
from appliance.kiosk.inputs import Actor, Asked, Command, Input, Moment, TimeUp, command_name
from appliance.kiosk.state import KioskState

log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 5.0
KEPT_OUTCOMES = 200

StateWatcher = Callable[[KioskState], None]
"""Called on the loop after each change; must return at once."""
OutcomeWatcher = Callable[[Answer], None]
ReportWatcher = Callable[[Report], None]
Watcher = TypeVar("Watcher")


class Performer(Protocol):
    """Who does effects. It starts what takes long and returns; the outcome comes back through `submit`."""

    def perform(self, effect: Effect) -> None: ...


class Kiosk:
    """The one place where the state is, and where it changes."""

    def __init__(self, state: KioskState, clock: Clock, random: Random) -> None:
        self.state = state
        self._performer: Performer | None = None
        self._undone: list[Effect] = []
        self._clock, self._random = clock, random
        self._loop = asyncio.get_running_loop()
        self._inbox: asyncio.Queue[Input] = asyncio.Queue()
        self._timers: dict[Timer, asyncio.TimerHandle] = {}
        self._fired: set[Timer] = set()
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._outcomes: OrderedDict[str, Answer] = OrderedDict()
        self._state_watchers: list[StateWatcher] = []
        self._outcome_watchers: list[OutcomeWatcher] = []
        self._report_watchers: list[ReportWatcher] = []
        self.ended = asyncio.Event()
        """Set when the machine has nothing more to do: every device is closed."""
        self.turns = 0
        """Inputs decided on so far; for the watchdog."""

    # The way in

    def submit(self, event: Input) -> None:
        """Hand in an input, from any thread; returns at once."""
        try:
            self._loop.call_soon_threadsafe(self._inbox.put_nowait, event)
        except RuntimeError:
            log.debug("too late for %s: the loop is closed", type(event).__name__)

    async def command(self, command: Command, actor: Actor) -> Answer:
        """Hand in a command and return its first answer, refusals as `ok` False.

        Raises:
            CommandRefused: `timeout`, where the machine does not answer.
        """
        asked = Asked(command=command, actor=actor, id=secrets.token_hex(8))
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answers[asked.id] = answer
        self._inbox.put_nowait(asked)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await answer
        except TimeoutError:
            raise CommandRefused("timeout", f"{command_name(command)} was not answered") from None
        finally:
            self._answers.pop(asked.id, None)

    def perform_with(self, performer: Performer) -> None:
        """Name who does what is left after timers, answers and reports; what was decided before is done now."""
        self._performer = performer
        undone, self._undone = self._undone, []
        for effect in undone:
            performer.perform(effect)

    # The ways out

    def watch(self, watcher: StateWatcher) -> Callable[[], None]:
        """Call `watcher` now and after each change; return how to stop that."""
        watcher(self.state)
        return _added(self._state_watchers, watcher)

    def watch_outcomes(self, watcher: OutcomeWatcher) -> Callable[[], None]:
        """Call `watcher` with the final answer of every command."""
        return _added(self._outcome_watchers, watcher)

    def watch_reports(self, watcher: ReportWatcher) -> Callable[[], None]:
        """Call `watcher` with every event for the outbox."""
        return _added(self._report_watchers, watcher)

    def outcome(self, command_id: str) -> Answer | None:
        """Return how a recent command ended."""
        return self._outcomes.get(command_id)

    # The work

    async def run(self) -> None:
        """Decide and do, input by input, until cancelled."""
        self.state, effects = machine.start(self.state, self._moment())
        self._do_all(effects)
        try:
            while True:
                self._turn(await self._inbox.get())
        finally:
            for handle in self._timers.values():
                handle.cancel()

    def _turn(self, event: Input) -> None:
        if isinstance(event, TimeUp):
            if event.timer not in self._fired:
                return  # stopped, or started anew, while it waited in the inbox
            self._fired.discard(event.timer)
        before = self.state
        after, effects = machine.step(before, event, self._moment())
        self.turns += 1
        if after != before:
            self._become(before, after)
        self._do_all(effects)

    def _become(self, before: KioskState, after: KioskState) -> None:
        self.state = replace(after, rev=before.rev + 1)
        if before.phase is not after.phase:
            room = after.visit.room_name if after.visit else "-"
            sid = after.room.sid if after.room else ""
            log.info("%s → %s (%s), room %s %s", before.phase, after.phase, after.reason, room, sid)
        if before.mic is not after.mic or before.camera is not after.camera:
            log.info("microphone %s, camera %s, by %s", after.mic, after.camera, after.origin)
        for code in {issue.code for issue in after.issues} ^ {issue.code for issue in before.issues}:
            log.warning("issue %s %s", code, "raised" if after.has_issue(code) else "cleared")
        for watcher in list(self._state_watchers):
            watcher(self.state)

    def _do_all(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case StartTimer(timer, seconds):
                    self._start(timer, seconds)
                case StopTimer(timer):
                    self._stop(timer)
                case Answer():
                    self._answer(effect)
                case Report():
                    for watcher in list(self._report_watchers):
                        watcher(effect)
                case EndProgram():
                    self.ended.set()
                case _ if self._performer is None:
                    self._undone.append(effect)
                case _:
                    self._performer.perform(effect)

    def _start(self, timer: Timer, seconds: float) -> None:
        self._stop(timer)
        self._timers[timer] = self._loop.call_later(seconds, self._fire, timer)

    def _stop(self, timer: Timer) -> None:
        self._fired.discard(timer)
        handle = self._timers.pop(timer, None)
        if handle is not None:
            handle.cancel()

    def _fire(self, timer: Timer) -> None:
        del self._timers[timer]
        self._fired.add(timer)
        self._inbox.put_nowait(TimeUp(timer))

    def _answer(self, answer: Answer) -> None:
        waiting = self._answers.get(answer.id)
        first = waiting is not None and not waiting.done()
        if first and waiting is not None:
            waiting.set_result(answer)
        if answer.final:
            self._outcomes[answer.id] = answer
            while len(self._outcomes) > KEPT_OUTCOMES:
                self._outcomes.popitem(last=False)
            for watcher in list(self._outcome_watchers):
                watcher(answer)

    def _moment(self) -> Moment:
        return Moment(now=self._clock.now(), monotonic_s=self._clock.monotonic(), chance=self._random.uniform(0.0, 1.0))


def _added(watchers: list[Watcher], watcher: Watcher) -> Callable[[], None]:
    watchers.append(watcher)

    def stop() -> None:
        if watcher in watchers:
            watchers.remove(watcher)

    return stop
