"""Getting into a room, staying, and what follows when that fails (kiosk.md 4). Pure; kiosk/machine.py calls it."""

from dataclasses import replace

from appliance.kiosk.effects import CloseRoom, OpenRoom, PlayCue, Report, StopTimer, Timer
from appliance.kiosk.inputs import JoinFailed, PeopleChanged, RoomConnected, RoomLost
from appliance.kiosk.service_errors import REASONS, Remedy, remedy_for
from appliance.kiosk.state import Origin, Phase, RoomView, Visit
from appliance.kiosk.turn import Turn

ATTEMPT_LIMIT_S = 30.0
LEAVING_LIMIT_S = 3.0
ALONE_NOTICE_S = 30.0
RECONNECT_STEPS_S = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
BUSY_STEPS_S = (10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
FULL_EVERY_S = 30.0
FULL_LIMIT_S = 300.0
TOKEN_TRIES = 3
ERROR_RETRY_S = 30.0
TOKEN_RETRY_S = 300.0
REJOIN_S = 5.0
TIMED_OUT = 53002
"""An attempt that takes too long counts as signaling that timed out."""


def begin(turn: Turn, visit: Visit, reason: str) -> None:
    """Set out for a room, from `idle`, `error`, `booting` or `leaving`."""
    number = turn.state.last_attempt + 1
    visit = replace(visit, attempt=number, since_s=turn.moment.monotonic_s)
    turn.clear_issues(
        "service_unreachable", "token_rejected", "identity_invalid", "media_incompatible",
        "room_not_found", "room_name_invalid", "duplicate_identity", "track_failed",
    )  # fmt: skip
    turn.set(visit=visit, last_attempt=number, then=None, origin=visit.origin, talk_held=False)
    turn.show_room(visit)
    turn.move(Phase.JOINING, reason)
    turn.do(StopTimer(Timer.REJOIN))
    _open(turn, keep_devices=False)


def try_again(turn: Turn) -> None:
    """Make the next attempt, after a wait."""
    visit = turn.state.visit
    assert visit is not None
    number = turn.state.last_attempt + 1
    turn.visit(attempt=number)
    turn.set(last_attempt=number, next=None)
    if turn.state.phase is Phase.ERROR:
        turn.visit(since_s=turn.moment.monotonic_s, tries=0, fresh_tokens=0)
        begin(turn, turn.state.visit or visit, "retry")
        return
    _open(turn, keep_devices=turn.state.phase is Phase.RECONNECTING)


def _open(turn: Turn, *, keep_devices: bool) -> None:
    visit = turn.state.visit
    assert visit is not None
    turn.do(
        OpenRoom(
            attempt=visit.attempt,
            room_name=visit.room_name,
            muted=visit.muted,
            camera_on=visit.camera_on,
            identity=visit.identity,
            token=visit.token,
            keep_devices=keep_devices,
        )
    )
    turn.wait(Timer.ATTEMPT, ATTEMPT_LIMIT_S)


def connected(turn: Turn, event: RoomConnected) -> None:
    visit = turn.state.visit
    assert visit is not None
    again = turn.state.phase is Phase.RECONNECTING
    room = RoomView(name=event.name, sid=event.sid, participant_sid=event.participant_sid, people=event.people)
    turn.set(room=room)
    if again:
        _reconnected(turn)
    turn.visit(tries=0, fresh_tokens=0, joined_before=True)
    turn.move(Phase.IN_ROOM, "reconnected" if again else "joined")
    turn.do(StopTimer(Timer.ATTEMPT), StopTimer(Timer.RECONNECT_LIMIT))
    if not again:
        turn.do(PlayCue("joined"))
    turn.finish_join()
    watch_company(turn, was_alone=False)


def interrupted(turn: Turn) -> None:
    """The link is lost; the SDK or we ourselves bring it back, up to the limit."""
    turn.visit(since_s=turn.moment.monotonic_s)
    turn.move(Phase.RECONNECTING, "link_lost")
    turn.do(StopTimer(Timer.ALONE), Report("kiosk-reconnecting", {"room": _room_name(turn)}))
    turn.wait(Timer.RECONNECT_LIMIT, turn.state.rules.reconnect_limit_s)


def resumed(turn: Turn) -> None:
    _reconnected(turn)
    turn.move(Phase.IN_ROOM, "reconnected")
    turn.do(StopTimer(Timer.RECONNECT_LIMIT))
    watch_company(turn, was_alone=False)


def _reconnected(turn: Turn) -> None:
    visit = turn.state.visit
    gap_s = turn.moment.monotonic_s - visit.since_s if visit else 0.0
    turn.do(Report("kiosk-reconnected", {"room": _room_name(turn), "gap": f"{gap_s:.1f}"}))


def _room_name(turn: Turn) -> str:
    return turn.state.visit.room_name if turn.state.visit else ""


def people_changed(turn: Turn, event: PeopleChanged) -> None:
    room = turn.state.room
    if room is None:
        return
    was_alone = not room.people
    here = {person.sid for person in event.people}
    spotlight = next((sid for sid in (event.dominant_speaker, room.spotlight) if sid in here), None)
    turn.set(room=replace(room, people=event.people, dominant_speaker=event.dominant_speaker, spotlight=spotlight))
    if turn.state.phase is Phase.IN_ROOM:
        watch_company(turn, was_alone=was_alone)


def watch_company(turn: Turn, *, was_alone: bool) -> None:
    """Alone for long: say so, then leave. An always-on kiosk waits for company."""
    rules = turn.state.rules
    if turn.state.people:
        turn.do(StopTimer(Timer.ALONE))
        turn.set(next=None)
    elif not was_alone and rules.auto_leave_alone_s > 0 and rules.mode != "always":
        turn.wait(Timer.ALONE, max(0.0, rules.auto_leave_alone_s - ALONE_NOTICE_S))


def alone_time_up(turn: Turn) -> None:
    if turn.state.next is None:
        turn.wait(Timer.ALONE, min(ALONE_NOTICE_S, turn.state.rules.auto_leave_alone_s), shown_as="leave")
    else:
        leave(turn, "alone")


def leave(turn: Turn, reason: str) -> None:
    """Go in good order; `RoomClosed` or the limit ends it."""
    visit = turn.state.visit
    assert visit is not None
    turn.finish_join("cancelled", "Left before the room was reached")
    turn.do(CloseRoom(visit.attempt), PlayCue("left"), StopTimer(Timer.ATTEMPT), StopTimer(Timer.ALONE))
    turn.do(StopTimer(Timer.RECONNECT_LIMIT))
    turn.move(Phase.LEAVING, reason)
    turn.wait(Timer.LEAVING, LEAVING_LIMIT_S)


def to_idle(turn: Turn, reason: str, *, detail: str | None = None) -> None:
    """Be in no room. Devices of an attempt that still runs are closed, whatever it was doing."""
    visit = turn.state.visit
    if visit is not None:
        if turn.state.phase is not Phase.LEAVING:
            turn.do(CloseRoom(visit.attempt))
        turn.set(last_muted=visit.muted or turn.state.talk_held, last_camera_on=visit.camera_on)
    turn.do(StopTimer(Timer.ATTEMPT), StopTimer(Timer.ALONE), StopTimer(Timer.RECONNECT_LIMIT))
    turn.do(StopTimer(Timer.LEAVING))
    turn.move(Phase.IDLE, reason, detail=detail)
    turn.set(visit=None, room=None, talk_held=False, quality=None)


def to_error(turn: Turn, code: str, detail: str, retry_s: float | None) -> None:
    """Say what is wrong; the visit is kept, so that a retry goes where people wanted to be, muted as they were."""
    visit = turn.state.visit
    turn.finish_join(code, detail)
    turn.raise_issue(code, detail)
    if visit is not None:
        turn.do(CloseRoom(visit.attempt))
        turn.visit(muted=visit.muted or turn.state.talk_held)  # the button may be let go of before the retry
    turn.do(StopTimer(Timer.ATTEMPT), StopTimer(Timer.RECONNECT_LIMIT), PlayCue("error"))
    turn.move(Phase.ERROR, code, detail=detail)
    turn.set(room=None, talk_held=False)
    if retry_s is not None:
        turn.wait(Timer.RETRY, retry_s, shown_as="retry")


def failed(turn: Turn, event: JoinFailed) -> None:
    """An attempt did not get in."""
    turn.do(StopTimer(Timer.ATTEMPT))
    visit = turn.state.visit
    assert visit is not None
    turn.do(Report("kiosk-join-failed", {"room": visit.room_name, "code": str(event.code), "message": event.message}))
    _apply(turn, remedy_for(event.code), event.message)


def lost(turn: Turn, event: RoomLost) -> None:
    """The SDK gave up a connection that stood, or the service ended it."""
    remedy = remedy_for(event.code)
    again = remedy in (Remedy.BACK_OFF, Remedy.BUSY, Remedy.FRESH_TOKEN, Remedy.RENEW_TOKEN, Remedy.WAIT_FOR_A_PLACE)
    if again and turn.state.phase is Phase.IN_ROOM:
        interrupted(turn)
    _apply(turn, remedy, event.message)


def _apply(turn: Turn, remedy: Remedy, message: str) -> None:
    """Do what the table of kiosk.md 4 says, from `joining`, `in_room` or `reconnecting`."""
    reason = REASONS[remedy]
    match remedy:
        case Remedy.FRESH_TOKEN | Remedy.RENEW_TOKEN:
            _retry_with_token(turn, 1 if remedy is Remedy.FRESH_TOKEN else TOKEN_TRIES, message)
        case Remedy.BACK_OFF:
            _back_off(turn, message)
        case Remedy.BUSY:
            _wait_and_retry(turn, reason, _step(turn, BUSY_STEPS_S) * turn.moment.chance)
        case Remedy.WAIT_FOR_A_PLACE:
            if _waited_s(turn) < FULL_LIMIT_S:
                _wait_and_retry(turn, reason, FULL_EVERY_S)
            else:
                _give_up(turn, reason, message)
        case Remedy.IDENTITY | Remedy.MEDIA:
            to_error_or_idle(turn, reason, message, None)
        case Remedy.NO_SUCH_ROOM | Remedy.BAD_NAME | Remedy.DUPLICATE:
            turn.raise_issue(reason, message)
            _give_up(turn, reason, message)
        case Remedy.ENDED:
            _give_up(turn, reason, message, rejoin_s=REJOIN_S)
        case Remedy.TOO_LONG:
            _give_up(turn, reason, message, rejoin_s=0.0)
        case Remedy.REMOVED:
            _give_up(turn, reason, message, rejoin_s=turn.state.rules.kick_holdoff_s)


def to_error_or_idle(turn: Turn, code: str, detail: str, retry_s: float | None) -> None:
    """`in_room` never becomes `error` (kiosk.md 3): the call is over first."""
    if turn.state.phase is Phase.IN_ROOM:
        turn.raise_issue(code, detail)
        _give_up(turn, code, detail)
    else:
        to_error(turn, code, detail, retry_s)


def _retry_with_token(turn: Turn, most: int, message: str) -> None:
    visit = turn.state.visit
    assert visit is not None
    # A token that came with the command cannot be renewed here.
    if visit.token is None and visit.fresh_tokens < most:
        turn.visit(fresh_tokens=visit.fresh_tokens + 1)
        try_again(turn)
    else:
        to_error_or_idle(turn, "token_rejected", message, TOKEN_RETRY_S)


def _back_off(turn: Turn, message: str) -> None:
    limit_s = turn.state.rules.reconnect_limit_s
    if turn.state.phase is Phase.JOINING and _waited_s(turn) >= limit_s:
        to_error(turn, "service_unreachable", message, ERROR_RETRY_S)
        return
    delay_s = _step(turn, RECONNECT_STEPS_S) * turn.moment.chance
    reason = turn.state.reason if turn.state.phase is Phase.RECONNECTING else "service_unreachable"
    _wait_and_retry(turn, reason, delay_s)


def _wait_and_retry(turn: Turn, reason: str, delay_s: float) -> None:
    visit = turn.state.visit
    assert visit is not None
    turn.visit(tries=visit.tries + 1)
    turn.set(reason=reason)
    turn.wait(Timer.RETRY, delay_s, shown_as="retry")


def _give_up(turn: Turn, reason: str, message: str, *, rejoin_s: float | None = None) -> None:
    turn.finish_join(reason, message)
    to_idle(turn, reason, detail=message or None)
    if rejoin_s is not None and turn.state.rules.mode == "always":
        turn.wait(Timer.REJOIN, rejoin_s, shown_as="retry")


def reconnect_limit_reached(turn: Turn) -> None:
    always = turn.state.rules.mode == "always"
    _give_up(turn, "reconnect_limit", "", rejoin_s=REJOIN_S if always else None)


def always_on(turn: Turn) -> None:
    """Go (back) into the default room by ourselves; what was muted stays muted (kiosk.md 19, 4)."""
    rules = turn.state.rules
    muted, camera_on = turn.state.last_muted, turn.state.last_camera_on
    visit = Visit(
        room_name=rules.default_room,
        attempt=0,
        origin=Origin.SYSTEM,
        muted=not rules.local_media.mic if muted is None else muted,
        camera_on=rules.local_media.camera if camera_on is None else camera_on,
    )
    begin(turn, visit, "always_on")


def _step(turn: Turn, steps_s: tuple[float, ...]) -> float:
    tries = turn.state.visit.tries if turn.state.visit else 0
    return steps_s[min(tries, len(steps_s) - 1)]


def _waited_s(turn: Turn) -> float:
    visit = turn.state.visit
    return turn.moment.monotonic_s - visit.since_s if visit else 0.0
