"""One turn of the machine: the state being changed, what is to be done, and what follows by itself. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from appliance.kiosk import issues
from appliance.kiosk.effects import Answer, Effect, Forget, Remember, Report, StartTimer, StopTimer, Timer
from appliance.kiosk.inputs import Asked, Moment, command_name
from appliance.kiosk.state import Issue, KioskState, Next, Phase, RoomView, Visit

FOLLOWS: Mapping[Phase, frozenset[Phase]] = {
    Phase.BOOTING: frozenset({Phase.SETUP, Phase.IDLE, Phase.JOINING, Phase.ERROR}),
    Phase.SETUP: frozenset({Phase.IDLE}),
    Phase.IDLE: frozenset({Phase.JOINING, Phase.UPDATING, Phase.ERROR, Phase.SETUP}),
    Phase.JOINING: frozenset({Phase.IN_ROOM, Phase.IDLE, Phase.ERROR, Phase.LEAVING}),
    Phase.IN_ROOM: frozenset({Phase.LEAVING, Phase.RECONNECTING, Phase.IDLE}),
    Phase.RECONNECTING: frozenset({Phase.IN_ROOM, Phase.IDLE, Phase.JOINING, Phase.LEAVING, Phase.ERROR}),
    Phase.LEAVING: frozenset({Phase.IDLE, Phase.JOINING}),
    Phase.ERROR: frozenset({Phase.BOOTING, Phase.IDLE, Phase.JOINING, Phase.SETUP}),
    Phase.UPDATING: frozenset({Phase.IDLE}),
    Phase.STOPPING: frozenset(),
}
"""Which phase may follow which (kiosk.md 3); `stopping` follows every one. A pair not in it is a bug of ours.

`leaving` → `joining` is a switch of rooms, `booting` → `joining` the resumption after a restart, and `joining` →
`leaving` a switch while still on the way.
"""


class Turn:
    """What `step` works on; thrown away afterwards."""

    def __init__(self, state: KioskState, moment: Moment) -> None:
        self.before = state
        self.state = state
        self.moment = moment
        self.effects: list[Effect] = []

    def do(self, *effects: Effect) -> None:
        self.effects.extend(effects)

    def set(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)

    def visit(self, **changes: Any) -> None:
        assert self.state.visit is not None
        self.set(visit=replace(self.state.visit, **changes))

    def move(self, phase: Phase, reason: str, *, detail: str | None = None) -> None:
        """Enter a phase. The timer of the wait before is stopped, whatever comes next starts its own."""
        now = self.state.phase
        if phase is not now and phase is not Phase.STOPPING and phase not in FOLLOWS[now]:
            raise AssertionError(f"{phase} does not follow {now}")
        self.do(StopTimer(Timer.RETRY))
        since = self.moment.now if phase is not now else self.state.since
        self.set(phase=phase, since=since, reason=reason, detail=detail, next=None)

    def wait(self, timer: Timer, seconds: float, *, shown_as: Any = None) -> None:
        """Start a timer, and say in `next` what it is for where people should know."""
        self.do(StartTimer(timer, seconds))
        if shown_as is not None:
            self.set(next=Next(action=shown_as, at=self.moment.now + timedelta(seconds=seconds)))

    def raise_issue(self, code: str, subject: str = "") -> None:
        self.set(issues=issues.raised(self.state, Issue(code=code, since=self.moment.now, subject=subject)))

    def clear_issues(self, *codes: str) -> None:
        self.set(issues=issues.cleared(self.state, *codes))

    def show_room(self, visit: Visit) -> None:
        """Show the room that is aimed at, its people unknown yet."""
        self.set(room=RoomView(name=visit.room_name))

    # Answers

    def accept(self, asked: Asked, **result: Any) -> None:
        """Answer a long command that begins; its end follows."""
        self.do(Answer(id=asked.id, ok=True, final=False, result=result))
        self._audit(asked, "accepted")

    def done(self, asked: Asked, **result: Any) -> None:
        self.do(Answer(id=asked.id, ok=True, result=result))
        self._audit(asked, "done")

    def refuse(self, asked: Asked, code: str, message: str) -> None:
        self.do(Answer(id=asked.id, ok=False, code=code, message=message))
        self._audit(asked, code)

    def finish_join(self, code: str = "", message: str = "") -> None:
        """Tell whoever asked to join how it ended; `code` empty is success."""
        visit = self.state.visit
        if visit is None or visit.command_id is None:
            return
        result = {"room": visit.room_name, "state": str(self.state.phase)}
        self.do(Answer(id=visit.command_id, ok=not code, result={} if code else result, code=code, message=message))
        self.visit(command_id=None)

    def _audit(self, asked: Asked, outcome: str) -> None:
        data = {"name": command_name(asked.command), "origin": str(asked.actor.origin), "outcome": outcome}
        if asked.actor.account:
            data["account"] = asked.actor.account
        self.do(Report("kiosk-command", data))

    # What follows from a change, whatever caused it

    def close(self) -> tuple[KioskState, list[Effect]]:
        before, after = self.before, self.state
        origin = str(after.origin)
        if before.phase is not after.phase:
            change = {"from": str(before.phase), "to": str(after.phase), "reason": after.reason, "origin": origin}
            self.do(Report("kiosk-state", change))
        if before.mic is not after.mic:
            self.do(Report("kiosk-mic", {"value": str(after.mic), "origin": origin}))
        if before.camera is not after.camera:
            self.do(Report("kiosk-camera", {"value": str(after.camera), "origin": origin}))
        self._report_issues()
        self._keep_memory()
        return after, self.effects

    def _report_issues(self) -> None:
        before, after = self.before, self.state
        for issue in after.issues:
            if not before.has_issue(issue.code):
                about = {"code": issue.code, "severity": issues.severity(issue.code), "subject": issue.subject}
                self.do(Report("kiosk-issue-raised", about))
        for issue in before.issues:
            if not after.has_issue(issue.code):
                self.do(Report("kiosk-issue-cleared", {"code": issue.code}))

    def _keep_memory(self) -> None:
        """Note what a next run should come back to (kiosk.md 3); being stopped is no reason to forget it."""
        if self.state.phase is Phase.STOPPING:
            return
        was, now = _memory(self.before), _memory(self.state)
        if now is not None and now != was:
            self.do(now)
        elif now is None and (was is not None or self.before.phase is Phase.BOOTING is not self.state.phase):
            self.do(Forget())


def _memory(state: KioskState) -> Remember | None:
    visit = state.visit
    if visit is None or state.phase not in (Phase.JOINING, Phase.IN_ROOM, Phase.RECONNECTING) or visit.token:
        return None
    if state.phase is Phase.JOINING and not visit.joined_before:
        return None
    # Whoever talks while holding the button is muted again by letting go, also if that happens while we are gone.
    return Remember(visit.room_name, visit.muted or state.talk_held, visit.camera_on, str(visit.origin))
