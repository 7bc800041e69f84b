"""Tells a kiosk what happens and shows what it decides: `step` with a clock that a test moves by hand."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from appliance.kiosk.effects import Answer, Effect, OpenRoom, Report, StartTimer, StopTimer, Timer
from appliance.kiosk.inputs import (
    Actor,
    Asked,
    Booted,
    Command,
    Input,
    Join,
    JoinFailed,
    Moment,
    PeopleChanged,
    RoomClosed,
    RoomConnected,
    RoomLost,
    TimeUp,
)
from appliance.kiosk.machine import step
from appliance.kiosk.rules import Rules
from appliance.kiosk.state import KioskState, Origin, Person, Role, RoomView

EffectT = TypeVar("EffectT")

FINGER = Actor(origin=Origin.BUTTON)
PAGE = Actor(origin=Origin.PAGE)
AUTOMATION = Actor(origin=Origin.MQTT, role=Role.ADMIN)
SCRIPT = Actor(origin=Origin.CLI, role=Role.ADMIN)
ANNA = Person(sid="PA1", name="anna", microphone="on", camera="on")


@dataclass
class Story:
    """A kiosk in memory. Timers run with `wait`; chance is always the whole of a back-off."""

    state: KioskState = field(default_factory=lambda: KioskState(rules=Rules(default_room="lobby")))
    now: datetime = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    monotonic_s: float = 1000.0
    effects: list[Effect] = field(default_factory=list)
    timers: dict[Timer, float] = field(default_factory=dict)
    _ids: int = 0

    @classmethod
    def idle(cls, **rules: Any) -> "Story":
        settings = Rules(**{"default_room": "lobby", **rules})
        story = cls(state=replace(KioskState(), rules=settings))
        story.tell(Booted())
        story.effects.clear()
        return story

    @classmethod
    def in_room(cls, actor: Actor = FINGER, **rules: Any) -> "Story":
        """Joined, with anna there, by whoever `actor` is."""
        story = cls.idle(**rules)
        story.ask(Join(), actor)
        story.connected()
        story.effects.clear()
        return story

    def tell(self, event: Input) -> list[Effect]:
        """Return the effects of this input; timers among them are obeyed."""
        moment = Moment(now=self.now, monotonic_s=self.monotonic_s, chance=1.0)
        self.state, effects = step(self.state, event, moment)
        for effect in effects:
            match effect:
                case StartTimer(timer, seconds):
                    self.timers[timer] = self.monotonic_s + seconds
                case StopTimer(timer):
                    self.timers.pop(timer, None)
        self.effects += effects
        return effects

    def ask(self, command: Command, actor: Actor = FINGER) -> Answer:
        """Return the first answer to a command."""
        self._ids += 1
        asked = Asked(command=command, actor=actor, id=f"c{self._ids}")
        answers = [each for each in self.tell(asked) if isinstance(each, Answer) and each.id == asked.id]
        assert answers, f"no answer to {command}"
        return answers[0]

    def wait(self, seconds: float) -> None:
        """Let time pass, timers going off in their order."""
        until = self.monotonic_s + seconds
        while due := sorted((at, timer) for timer, at in self.timers.items() if at <= until):
            at, timer = due[0]
            self._move(at)
            del self.timers[timer]
            self.tell(TimeUp(timer))
        self._move(until)

    def wait_for_retry(self) -> float:
        """Let the wait before the next attempt pass; return how long it was."""
        seconds = self.timers[Timer.RETRY] - self.monotonic_s
        self.wait(seconds)
        return seconds

    def _move(self, to_s: float) -> None:
        self.now += timedelta(seconds=to_s - self.monotonic_s)
        self.monotonic_s = to_s

    # What the stage would answer

    @property
    def attempt(self) -> int:
        assert self.state.visit is not None
        return self.state.visit.attempt

    def connected(self, people: tuple[Person, ...] = (ANNA,)) -> list[Effect]:
        return self.tell(
            RoomConnected(attempt=self.attempt, name="lobby", sid="RM1", participant_sid="PA0", people=people)
        )

    def failed(self, code: int) -> list[Effect]:
        return self.tell(JoinFailed(attempt=self.attempt, code=code, message=f"refused with {code}"))

    def lost(self, code: int | None) -> list[Effect]:
        return self.tell(RoomLost(attempt=self.attempt, code=code, message="lost"))

    def closed(self) -> list[Effect]:
        return self.tell(RoomClosed(attempt=self.attempt))

    def people(self, *people: Person) -> list[Effect]:
        return self.tell(PeopleChanged(attempt=self.attempt, people=people))

    # What is looked at

    @property
    def room(self) -> RoomView:
        assert self.state.room is not None
        return self.state.room

    def opened(self) -> OpenRoom:
        """Return the newest order to open a room."""
        return of_kind(self.effects, OpenRoom)[-1]

    def attempts(self) -> int:
        return len(of_kind(self.effects, OpenRoom))

    def reports(self, type: str) -> list[dict[str, str]]:
        return [dict(report.data) for report in of_kind(self.effects, Report) if report.type == type]


def of_kind(effects: Iterable[object], kind: type[EffectT]) -> list[EffectT]:
    return [effect for effect in effects if isinstance(effect, kind)]
