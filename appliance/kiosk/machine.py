"""step(): one input in, the next state and what is to be done out. Pure: no I/O, no clock, no randomness.

The phases and what may follow are drawn in kiosk/state.py and kiosk/turn.py; how a room is reached, in
kiosk/visiting.py.
"""

from dataclasses import replace

from appliance.errors import CommandRefused
from appliance.kiosk import policy, visiting
from appliance.kiosk.effects import (
    Answer,
    CloseRoom,
    Effect,
    EndProgram,
    FlashMuteLamp,
    MoveButton,
    MuteMicrophone,
    PlayCue,
    Report,
    SetVolume,
    StartTimer,
    SwitchCamera,
    Timer,
)
from appliance.kiosk.inputs import (
    Asked,
    Booted,
    BrokerChanged,
    Capturing,
    DeviceFound,
    DeviceGone,
    DisplayChanged,
    GuestInvited,
    Input,
    IssueSeen,
    Join,
    JoinFailed,
    Leave,
    LinkQuality,
    Moment,
    PeopleChanged,
    PressFrontPanel,
    RoomClosed,
    RoomConnected,
    RoomEventSeen,
    RoomInterrupted,
    RoomLost,
    RoomResumed,
    SetCamera,
    SetMicrophone,
    SetSpeaker,
    ShowMuted,
    StopAsked,
    TimeUp,
)
from appliance.kiosk.issues import without_critical
from appliance.kiosk.state import CALLING, KioskState, Phase, Visit
from appliance.kiosk.turn import Turn

BOOT_LIMIT_S = 20.0


def start(state: KioskState, moment: Moment) -> tuple[KioskState, list[Effect]]:
    """Return the first state and what to do first; `Booted` or the limit leads out of `booting`."""
    return replace(state, since=moment.now), [StartTimer(Timer.BOOT, BOOT_LIMIT_S)]


def step(state: KioskState, event: Input, moment: Moment) -> tuple[KioskState, list[Effect]]:
    """Decide what an input means now. What is out of season changes nothing; a command then gets a refusal."""
    turn = Turn(state, moment)
    match event:
        case Asked():
            _asked(turn, event)
        case (
            RoomConnected(attempt=attempt)
            | JoinFailed(attempt=attempt)
            | RoomInterrupted(attempt=attempt)
            | RoomResumed(attempt=attempt)
            | RoomLost(attempt=attempt)
            | RoomClosed(attempt=attempt)
            | PeopleChanged(attempt=attempt)
        ):
            # What an attempt says that was given up meanwhile is not listened to.
            if state.visit is not None and state.visit.attempt == attempt:
                _room_happening(turn, event)
        case TimeUp(timer):
            _time_up(turn, timer)
        case _:
            _around(turn, event)
    return turn.close()


# Commands


def _asked(turn: Turn, asked: Asked) -> None:
    if turn.state.phase in (Phase.BOOTING, Phase.STOPPING, Phase.UPDATING):
        turn.refuse(asked, "invalid_state", f"Not possible while {turn.state.phase}")
        return
    try:
        policy.check(asked.command, asked.actor, turn.state)
        _command(turn, asked)
    except CommandRefused as refusal:
        turn.refuse(asked, refusal.code, str(refusal))


def _command(turn: Turn, asked: Asked) -> None:
    match asked.command:
        case Join() as join:
            _join(turn, asked, join)
        case Leave():
            _leave(turn, asked)
        case SetMicrophone() as wish:
            _set_microphone(turn, asked, wish)
        case SetCamera(on=on):
            _set_camera(turn, asked, on)
        case SetSpeaker() as wish:
            _set_speaker(turn, asked, wish)
        case PressFrontPanel(button=button, pressed=pressed):
            turn.do(MoveButton(button, pressed))
            turn.done(asked)
        case ShowMuted():
            if turn.state.phase is not Phase.IDLE:
                raise CommandRefused("invalid_state", "Only while idle")
            turn.do(FlashMuteLamp(), PlayCue("muted"))
            turn.done(asked)


def _join(turn: Turn, asked: Asked, join: Join) -> None:
    state = turn.state
    room_name = join.room or state.rules.default_room
    visit = _wanted_visit(turn, asked, join, room_name)
    match state.phase:
        case Phase.SETUP:
            raise CommandRefused("invalid_state", "Not possible while the kiosk is being set up")
        case Phase.IDLE:
            turn.accept(asked, room=room_name, state="joining")
            visiting.begin(turn, visit, "asked")
        case Phase.ERROR:
            turn.accept(asked, room=room_name, state="joining")
            visiting.begin(turn, _as_before_the_error(state, visit), "asked")
        case Phase.LEAVING:
            turn.accept(asked, room=room_name, state="joining")
            turn.set(then=visit)
        case _ if state.visit is not None and state.visit.room_name == room_name:
            turn.done(asked, room=room_name, state=str(state.phase))
        case _ if join.switch:
            turn.accept(asked, room=room_name, state="joining")
            visiting.leave(turn, "switch")
            turn.set(then=visit)
        case _:
            raise CommandRefused("busy", f"In the room {state.room.name if state.room else ''!r}; leave it first")


def _wanted_visit(turn: Turn, asked: Asked, join: Join, room_name: str) -> Visit:
    media = policy.start_media(join, asked.actor, turn.state)
    return Visit(
        room_name=room_name,
        attempt=0,
        origin=asked.actor.origin,
        muted=not media.mic,
        camera_on=media.camera,
        identity=join.identity,
        token=join.token,
        command_id=asked.id,
        asked_in_the_room=asked.actor.in_the_room,
    )


def _as_before_the_error(state: KioskState, visit: Visit) -> Visit:
    """Retrying the same room must not unmute what was muted, nor may a retry from afar open what a hand had opened."""
    before = state.visit
    if before is None or before.room_name != visit.room_name:
        return visit
    return replace(visit, muted=visit.muted or before.muted, camera_on=visit.camera_on and before.camera_on)


def _leave(turn: Turn, asked: Asked) -> None:
    match turn.state.phase:
        case Phase.IN_ROOM | Phase.RECONNECTING:
            turn.set(origin=asked.actor.origin)
            turn.accept(asked, state="leaving")
            visiting.leave(turn, "asked")
            turn.visit(command_id=asked.id)
        case Phase.JOINING:
            turn.set(origin=asked.actor.origin)
            turn.finish_join("cancelled", "Left before the room was reached")
            visiting.to_idle(turn, "cancelled")
            turn.done(asked, state="idle")
        case Phase.ERROR:
            turn.set(origin=asked.actor.origin, issues=without_critical(turn.state))
            visiting.to_idle(turn, "asked")
            turn.done(asked, state="idle")
        case Phase.LEAVING:
            if turn.state.then is not None and turn.state.then.command_id is not None:
                turn.do(Answer(id=turn.state.then.command_id, ok=False, code="cancelled", message="Left instead"))
            turn.set(then=None)
            turn.done(asked, state="leaving")
        case _:
            turn.done(asked, state=str(turn.state.phase))


def _set_microphone(turn: Turn, asked: Asked, wish: SetMicrophone) -> None:
    visit = turn.state.visit
    if visit is None or turn.state.phase not in CALLING:
        if not wish.muted:
            raise CommandRefused("invalid_state", "Not in a room")
        turn.done(asked, mic=str(turn.state.mic))
        return
    if turn.state.blocked and not wish.muted:
        raise CommandRefused("policy_denied", "The privacy switch is closed")
    if wish.held and not turn.state.rules.push_to_talk:
        raise CommandRefused("policy_denied", "buttons.push_to_talk is off")
    if visit.muted != wish.muted:
        turn.visit(muted=wish.muted)
        turn.do(MuteMicrophone(wish.muted), PlayCue("muted" if wish.muted else "unmuted"))
    turn.set(talk_held=wish.held and not wish.muted, origin=asked.actor.origin)
    turn.done(asked, mic=str(turn.state.mic))


def _set_camera(turn: Turn, asked: Asked, on: bool) -> None:
    visit = turn.state.visit
    if visit is None or turn.state.phase not in CALLING:
        if on:
            raise CommandRefused("invalid_state", "Not in a room")
        turn.done(asked, camera=str(turn.state.camera))
        return
    if turn.state.blocked and on:
        raise CommandRefused("policy_denied", "The privacy switch is closed")
    if visit.camera_on != on:
        turn.visit(camera_on=on)
        turn.do(SwitchCamera(on))
    turn.set(origin=asked.actor.origin)
    turn.done(asked, camera=str(turn.state.camera))


def _set_speaker(turn: Turn, asked: Asked, wish: SetSpeaker) -> None:
    now = turn.state.speaker
    speaker = replace(
        now,
        volume=now.volume if wish.volume is None else wish.volume,
        muted=now.muted if wish.muted is None else wish.muted,
    )
    turn.set(speaker=speaker, origin=asked.actor.origin)
    turn.do(SetVolume(0 if speaker.muted else speaker.volume))
    turn.done(asked, volume=speaker.volume, muted=speaker.muted)


# Happenings


def _room_happening(turn: Turn, event: Input) -> None:
    match event, turn.state.phase:
        case RoomConnected(), Phase.JOINING | Phase.RECONNECTING:
            visiting.connected(turn, event)
        case JoinFailed(), Phase.JOINING | Phase.RECONNECTING:
            visiting.failed(turn, event)
        case RoomInterrupted(), Phase.IN_ROOM:
            visiting.interrupted(turn)
        case RoomResumed(), Phase.RECONNECTING:
            visiting.resumed(turn)
        case RoomLost(), Phase.IN_ROOM | Phase.RECONNECTING:
            visiting.lost(turn, event)
        case PeopleChanged(), Phase.IN_ROOM | Phase.RECONNECTING:
            visiting.people_changed(turn, event)
        case RoomClosed(), Phase.LEAVING:
            _left(turn)
        case RoomClosed(), Phase.STOPPING:
            turn.do(EndProgram())
        case _:
            pass  # late: the phase has moved on, and the same attempt's end was heard already


def _left(turn: Turn) -> None:
    """Out of the room: rest, or go where a switch wanted to."""
    reason, then = turn.state.reason, turn.state.then
    asked_by = turn.state.visit.command_id if turn.state.visit else None
    if asked_by is not None:
        turn.do(Answer(id=asked_by, ok=True, result={"state": "idle"}))
    if then is None:
        visiting.to_idle(turn, reason)
    else:
        visiting.begin(turn, then, "asked")


def _time_up(turn: Turn, timer: Timer) -> None:
    visit = turn.state.visit
    match timer, turn.state.phase:
        case Timer.BOOT, Phase.BOOTING:
            visiting.to_idle(turn, "probes_late")
        case Timer.ATTEMPT, Phase.JOINING | Phase.RECONNECTING if visit is not None:
            if turn.state.phase is Phase.JOINING:
                turn.do(CloseRoom(visit.attempt))
            message = f"No connection in {visiting.ATTEMPT_LIMIT_S:g} s"
            visiting.failed(turn, JoinFailed(attempt=visit.attempt, code=visiting.TIMED_OUT, message=message))
        case Timer.RETRY, Phase.JOINING | Phase.RECONNECTING | Phase.ERROR if visit is not None:
            visiting.try_again(turn)
        case Timer.RECONNECT_LIMIT, Phase.RECONNECTING:
            visiting.reconnect_limit_reached(turn)
        case Timer.LEAVING, Phase.LEAVING:
            _left(turn)
        case Timer.LEAVING, Phase.STOPPING:
            turn.do(EndProgram())
        case Timer.ALONE, Phase.IN_ROOM:
            visiting.alone_time_up(turn)
        case Timer.REJOIN, Phase.IDLE if turn.state.rules.mode == "always":
            visiting.always_on(turn)
        case _:
            pass  # a timer of a phase that is over


def _around(turn: Turn, event: Input) -> None:
    """What is told of devices, broker, screen and ourselves."""
    match event:
        case Booted():
            _booted(turn, event)
        case Capturing(what="microphone", live=live):
            turn.set(mic_live=live)
        case Capturing(live=live):
            turn.set(camera_live=live)
        case DeviceGone(what=what, issue=issue, message=message):
            _mark_absent(turn, what, True)
            turn.raise_issue(issue, message)
        case DeviceFound(what):
            _mark_absent(turn, what, False)
            prefix = {"microphone": "mic", "camera": "camera", "speaker": "speaker"}[what]
            turn.clear_issues(f"{prefix}_absent", f"{prefix}_stalled", f"{prefix}_busy")
        case LinkQuality(level):
            turn.set(quality=level)
        case BrokerChanged(broker):
            turn.set(mqtt=broker)
        case DisplayChanged(display):
            turn.set(display=display)
        case GuestInvited(guest):
            turn.set(guest=guest)
        case IssueSeen(code=code, present=True, subject=subject):
            turn.raise_issue(code, subject)
        case IssueSeen(code=code):
            turn.clear_issues(code)
        case RoomEventSeen(type, data):
            turn.do(Report(type, data))
        case StopAsked():
            _stop(turn)
        case _:
            raise AssertionError(f"no case for {event!r}")


def _mark_absent(turn: Turn, what: str, absent: bool) -> None:
    match what:
        case "microphone":
            turn.set(microphone_absent=absent)
        case "camera":
            turn.set(camera_absent=absent)
        case _:
            turn.set(speaker=replace(turn.state.speaker, absent=absent))


def _booted(turn: Turn, event: Booted) -> None:
    if turn.state.phase is not Phase.BOOTING:
        return
    turn.do(Report("kiosk-started", {"resumed": str(event.resume is not None).lower()}))
    turn.set(display=event.display, microphone_absent=event.microphone_absent, camera_absent=event.camera_absent)
    turn.set(speaker=replace(turn.state.speaker, absent=event.speaker_absent))
    resume, rules = event.resume, turn.state.rules
    if resume is not None:
        visit = Visit(
            room_name=resume.room_name,
            attempt=0,
            origin=resume.origin,
            muted=resume.muted,
            camera_on=resume.camera_on,
            joined_before=True,
        )
        visiting.begin(turn, visit, "resumed")
    elif rules.mode == "always" and rules.default_room:
        visiting.always_on(turn)
    else:
        turn.move(Phase.IDLE, "started")


def _stop(turn: Turn) -> None:
    visit = turn.state.visit
    if turn.state.phase is Phase.STOPPING:
        return
    at_rest = visit is None or turn.state.phase is Phase.ERROR
    turn.do(Report("kiosk-stopped", {"reason": "asked"}))
    turn.move(Phase.STOPPING, "asked")
    if visit is None or at_rest:
        turn.do(EndProgram())
    else:
        turn.do(CloseRoom(visit.attempt))
        turn.wait(Timer.LEAVING, visiting.LEAVING_LIMIT_S - 0.5)
