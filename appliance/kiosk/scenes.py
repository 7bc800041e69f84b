"""From the state to what the screen shows, in words of the screen's language. Pure.

A scene is complete: whoever draws it needs neither the state nor a catalogue. It changes with the state and with
time; `next_change` says when to make it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from appliance.devices.screens.base import (
    SELF_SLOT,
    Bar,
    CallScene,
    DimScene,
    ErrorScene,
    IdleScene,
    Invitation,
    JoiningScene,
    LineOfLight,
    Pill,
    ReconnectingScene,
    Scene,
    SelfView,
    SetupScene,
    StandbyScene,
    StartingScene,
    TouchKey,
    UpdatingScene,
    Wall,
)
from appliance.kiosk.line import bars, line
from appliance.kiosk.state import CameraState, KioskState, MicrophoneState, Phase
from appliance.kiosk.tiles import SELF_LARGE, TOUCH_SELF_LARGE, Layout, layout
from appliance.kiosk.words import Words, duration

SLOW_AFTER_S = 8  # joining: then it takes longer than usual (kiosk.md 7)
STILL_S = 10  # so long into a call nothing shifts
STANDBY_MARKS = 26

# Why rooms cannot be joined, by the reason of the state; what is not here is told in general words.
ERROR_WORDS: Mapping[str, str] = {
    "service_unreachable": "error.service",
    "dns_failed": "error.service",
    "token_rejected": "error.token",
    "tls_untrusted": "error.token",
    "identity_invalid": "error.identity",
    "media_incompatible": "error.media",
}
TOLD_IN_IDLE = (
    "duplicate_identity", "room_not_found", "room_name_invalid", "mic_absent", "camera_absent", "speaker_absent",
)  # fmt: skip
"""Issues that people in the room see while nothing goes on, the gravest first."""
CABLE_HELPS = frozenset({"service_unreachable", "dns_failed"})


@dataclass(frozen=True, slots=True)
class Rest:
    """How long nobody has come by, in what the settings of the display call dim and standby. None: never."""

    idle_since: datetime
    dim_after_s: float | None = 120.0
    standby_after_s: float | None = 600.0
    heartbeat: bool = True

    def stage(self, now: datetime) -> str:
        """Return awake, dim or standby."""
        idle_s = (now - self.idle_since).total_seconds()
        if self.standby_after_s is not None and idle_s >= self.standby_after_s:
            return "standby"
        return "dim" if self.dim_after_s is not None and idle_s >= self.dim_after_s else "awake"


def scene(state: KioskState, now: datetime, words: Words, wall: Wall | None = None, rest: Rest | None = None) -> Scene:
    """Make what the screen shows now.

    Args:
        now: local time, with a zone; clocks on the screen show it.
        wall: the shape of the screen; 16:9 without it.
        rest: since when the screen may go dark in idle; None keeps it awake.
    """
    wall = wall or Wall()
    made = _awake(state, now, words, wall)
    if rest is not None and state.phase is Phase.IDLE and not made.line.left_lit:
        made = _resting(made, state, now, words, rest)
    return replace(made, shift=_shift(state, now), keys=_keys(state, words) if wall.touch else ())


def _keys(state: KioskState, words: Words) -> tuple[TouchKey, ...]:
    """Return the keys of a touch panel, in the order of the buttons: our picture, our sound, leaving."""
    match state.phase:
        case Phase.IDLE:
            room = _default_room(state)
            return (TouchKey("join", "join", words("key.join", room=room), 1, 2, "primary"),) if room else ()
        case Phase.ERROR:
            return (TouchKey("leave", "update", words("key.retry"), 1, 2, "primary"),)
        case Phase.JOINING | Phase.IN_ROOM | Phase.RECONNECTING:
            sees = state.camera is CameraState.LIVE
            light = line(state)
            hears = "mic.on" if light.cut is None else light.cut.word_key
            leave = words("key.leave" if state.phase is Phase.IN_ROOM else "key.cancel")
            camera = words("camera.on" if sees else "camera.off")
            return (
                TouchKey("camera", "camera" if sees else "camera-off", camera, 0),
                TouchKey(
                    "microphone",
                    light.cut.icon if light.cut else "mic",
                    words(hears),
                    1,
                    tone="muted" if light.cut and light.cut.tone == "muted" else "plain",
                ),
                TouchKey("leave", "leave", leave, 2),
            )
        case _:
            return ()


def next_change(state: KioskState, now: datetime) -> datetime:
    """Return when the scene changes by itself: next second while something counts, else next minute."""
    counting = state.phase in (Phase.JOINING, Phase.RECONNECTING, Phase.BOOTING) or state.next is not None
    if counting:
        return now.replace(microsecond=0) + timedelta(seconds=1)
    return now.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _awake(state: KioskState, now: datetime, words: Words, wall: Wall) -> Scene:
    light = spoken(line(state, now), words)
    match state.phase:
        case Phase.SETUP:
            return _setup(state, words, light)
        case Phase.JOINING:
            return _joining(state, now, words, light, wall)
        case Phase.IN_ROOM:
            return _call(state, now, words, light, wall)
        case Phase.RECONNECTING:
            return _reconnecting(state, now, words, light, wall)
        case Phase.ERROR:
            return _error(state, now, words, light)
        case Phase.UPDATING:
            return _updating(state, now, words, light)
        case Phase.IDLE:
            return _idle(state, now, words, light)
        case Phase.LEAVING:
            below = words("leaving", room=_room(state))
        case Phase.STOPPING:
            below = words("stopping")
        case _:
            below = words("starting")
    return StartingScene(line=light, name=_name(state), bar=_dark_bar(state, words), below=below)


def spoken(light: LineOfLight, words: Words) -> LineOfLight:
    """Return the Line with the words of its pills."""

    def say(pill: Pill | None) -> Pill | None:
        return replace(pill, word=words(pill.word_key)) if pill else None

    return replace(light, cut=say(light.cut), left_pill=say(light.left_pill), right_pill=say(light.right_pill))


def _default_room(state: KioskState) -> str:
    return called(state.device.default_room or state.rules.default_room, state.device.name)


def called(room: str, kiosk: str) -> str:
    """Return a room's name as its people know it: where the kiosk is named after the room, as the kiosk writes it.

    The panel shows it by the same rule (web/panel/js/words.js).
    """
    return kiosk if room.casefold() == kiosk.casefold() else room


def _room(state: KioskState) -> str:
    """Return what the room is called that the kiosk is in or on the way to; without one, the kiosk's name."""
    if state.room is not None:
        return called(state.room.name, state.device.name)
    return called(state.visit.room_name, state.device.name) if state.visit else _name(state)


def _name(state: KioskState) -> str:
    return state.device.name


def _seconds_to(at: datetime, now: datetime) -> int:
    return max(0, -int(-(at - now).total_seconds() // 1))


def _elapsed(state: KioskState, now: datetime) -> float:
    return max(0.0, (now - state.since).total_seconds())


def _dark_bar(state: KioskState, words: Words) -> Bar:
    """Say that nothing here is open, if so; a device that is still open is named instead."""
    if state.mic_live or state.camera_live:
        return _open_bar(state, words)
    return Bar(left_icons=("camera-off",), left=words("idle.privacy"), network=_network(state))


def _network(state: KioskState) -> str:
    return {"online": "wifi", "lan_only": "globe", "setup_ap": "wifi"}.get(state.network, "warning")


def _open_bar(state: KioskState, words: Words) -> Bar:
    """Say which of camera and microphone is open on the way into a room, or which will be."""
    mic = state.mic is MicrophoneState.LIVE
    camera = state.camera is CameraState.LIVE
    keys = {(True, True): "both", (True, False): "camera", (False, True): "microphone", (False, False): "neither"}
    key = keys[camera, mic]
    if state.mic_live and not mic:  # open, but nobody is to hear it: the Line is lit, so nothing here may say "off"
        key = "camera_muted" if camera else "muted"
    icons = ("camera" if camera else "camera-off", "mic" if mic else "mic-off")
    return Bar(left_icons=icons, left=words(f"join.{key}"))


def _hint(state: KioskState, words: Words, key: str, **values: object) -> str:
    """Say what a button does, where there are buttons."""
    return "" if state.device.front_panel == "none" else words(key, **values)


def _idle(state: KioskState, now: datetime, words: Words, light: LineOfLight) -> IdleScene:
    room = _default_room(state)
    guest = None
    if state.guest is not None:
        host, slash, path = state.guest.address.removeprefix("https://").partition("/")
        guest = Invitation(state.guest.link, words("idle.phone"), (host, slash + path) if slash else (host,))
    bar = _dark_bar(state, words)
    hint = _hint(state, words, "idle.hold", room=room) if room else ""
    issue = next((code for code in TOLD_IN_IDLE if state.has_issue(code)), None)
    return IdleScene(
        line=light,
        name=_name(state),
        bar=replace(bar, hint=hint),
        date=words.day(now),
        clock=words.clock(now.time()),
        invitation=guest,
        notice=words(f"issue.{issue}") if issue else "",
    )


def _own_large(state: KioskState, wall: Wall) -> SelfView:
    place = TOUCH_SELF_LARGE if wall.touch else SELF_LARGE
    return SelfView(place, SELF_SLOT if state.camera is CameraState.LIVE else None)


def _date_and_time(now: datetime, words: Words) -> str:
    return f"{words.day(now)}, {words.clock(now.time())}"


def _joining(state: KioskState, now: datetime, words: Words, light: LineOfLight, wall: Wall) -> JoiningScene:
    if state.next is not None and state.next.action == "retry":
        label = words("join.full" if state.reason == "room_full" else "join.retry", n=_seconds_to(state.next.at, now))
    else:
        label = words("join.slow" if _elapsed(state, now) >= SLOW_AFTER_S else "join.label")
    return JoiningScene(
        line=light,
        name=_name(state),
        bar=replace(_open_bar(state, words), hint=_hint(state, words, "join.cancel")),
        date=_date_and_time(now, words),
        preview_label=words("join.preview"),
        self_view=_own_large(state, wall),
        label=label,
        room=_room(state),
    )


def _room_bar(state: KioskState, now: datetime, words: Words) -> Bar:
    return Bar(
        left_icons=("camera",),
        left=_room(state),
        left_tone="paper",
        people=1 + len(state.people),
        quality=bars(state.quality),
        time=words.clock(now.time()),
    )


def call_layout(state: KioskState, wall: Wall) -> Layout:
    """Return where everybody stands while in a room."""
    spotlight = state.room.spotlight if state.room else None
    return layout(state.people, wall, own_camera=state.camera is CameraState.LIVE, spotlight=spotlight)


def _call(state: KioskState, now: datetime, words: Words, light: LineOfLight, wall: Wall) -> CallScene:
    bar = _room_bar(state, now, words)
    if light.cut is None:
        bar = replace(bar, middle_icon="mic", middle=words("mic.held" if light.pulse == "held" else "mic.on"))
    placed = call_layout(state, wall)
    notice = ""
    if not state.people:
        notice = words("room.waiting")
        if state.next is not None and state.next.action == "leave":
            notice = words("room.alone", n=_seconds_to(state.next.at, now))
    return CallScene(
        line=light, name=_name(state), bar=bar, tiles=placed.tiles, self_view=placed.self_view, notice=notice
    )


def _reconnecting(state: KioskState, now: datetime, words: Words, light: LineOfLight, wall: Wall) -> ReconnectingScene:
    attempt = words("link.now")
    if state.next is not None and state.next.action == "retry":
        seconds = _seconds_to(state.next.at, now)
        attempt = words("link.next", n=seconds) if seconds else attempt
    room = _room_bar(state, now, words)
    return ReconnectingScene(
        line=light,
        name=_name(state),
        bar=Bar(
            left_icons=room.left_icons, left=room.left, left_tone="paper", hint=_hint(state, words, "link.give_up")
        ),
        date=_date_and_time(now, words),
        preview_label=words("link.preview"),
        self_view=_own_large(state, wall),
        label=words("link.lost", t=duration(_elapsed(state, now))),
        title=words("link.title"),
        notes=(words("link.kept"), attempt),
    )


def _error(state: KioskState, now: datetime, words: Words, light: LineOfLight) -> ErrorScene:
    remedies: tuple[str, ...] = (words("error.cable"), words("error.admin"))
    if state.reason not in CABLE_HELPS:
        remedies = (words("error.tell"),)
    hint = _hint(state, words, "error.press")
    if state.next is not None and state.next.action == "retry":
        seconds = _seconds_to(state.next.at, now)
        hint = _hint(state, words, "error.retry", n=seconds) or words("link.next", n=seconds)
    link = state.device.panel_url
    return ErrorScene(
        line=light,
        name=_name(state),
        bar=replace(_dark_bar(state, words), hint=hint, network=None),
        title=words("error.title"),
        headline=words(ERROR_WORDS.get(state.reason, "error.other")),
        remedies=remedies,
        code=state.reason,
        details=Invitation(link, words("error.details"), (words("error.phone"),)) if link else None,
    )


def _updating(state: KioskState, now: datetime, words: Words, light: LineOfLight) -> UpdatingScene:
    bar = replace(_dark_bar(state, words), hint_icon="warning", hint_strong=words("update.power"), network=None)
    return UpdatingScene(
        line=light,
        name=_name(state),
        bar=bar,
        date=_date_and_time(now, words),
        title=words("update.title"),
        detail=state.detail or "",
        percent=round(light.right.part * 100),
    )


def _setup(state: KioskState, words: Words, light: LineOfLight) -> SetupScene:
    url = (state.device.panel_url or "").removeprefix("https://").removeprefix("http://")
    return SetupScene(
        line=light,
        name=words("setup.hello"),
        bar=_dark_bar(state, words),
        below=words("setup.below"),
        how=(words("setup.open", url=url), words("setup.code")),
        code=state.detail or "",
        link=state.device.panel_url or "",
    )


def _resting(awake: Scene, state: KioskState, now: datetime, words: Words, rest: Rest) -> Scene:
    minute = int(now.timestamp() // 60)
    match rest.stage(now):
        case "standby":
            mark = minute * 7 % STANDBY_MARKS if rest.heartbeat else None  # 7 and 26 have no common factor
            return StandbyScene(line=awake.line, name=awake.name, mark=mark)
        case "dim":
            right = minute // 10 % 2 == 1
            return DimScene(line=awake.line, name=awake.name, clock=words.clock(now.time()), right_column=right)
        case _:
            return awake


def _shift(state: KioskState, now: datetime) -> int:
    """Return one of four places, another each minute, and none in the first seconds of a call."""
    if state.phase is Phase.IN_ROOM and _elapsed(state, now) < STILL_S:
        return 0
    return int(now.timestamp() // 60) % 4
