"""Every word of every language in its place: inside the screen, whole, and not upon another, at 1080p and on touch."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from appliance.devices.screens import type as typesetting
from appliance.devices.screens.base import Rect, Scene, Wall
from appliance.devices.screens.compose import compose
from appliance.devices.screens.items import Icon, Item, Picture, Plate, Words
from appliance.devices.screens.line import paint, still_pose
from appliance.devices.screens.look import geometry
from appliance.devices.screens.textures import Scale
from appliance.kiosk.scenes import TOLD_IN_IDLE, Rest, scene
from appliance.kiosk.state import Device, Guest, Issue, KioskState, Next, Origin, Person, Phase, RoomView, Visit
from appliance.kiosk.words import PSEUDO
from appliance.kiosk.words import Words as Catalogue


def inter_is_installed() -> bool:
    found = typesetting.font_file("Inter", "Medium") if shutil.which("fc-match") else None
    return found is not None and "Inter" in found[0]


pytestmark = pytest.mark.skipif(
    not inter_is_installed(), reason="the font that the texts are fitted to is not installed"
)

NOW = datetime(2026, 9, 30, 20, 48, tzinfo=UTC)  # Wednesday, 30 September: the longest date in both languages
WALL, TOUCH = (Wall(), 1080), (Wall(100, touch=True), 480)
DEVICE = Device(
    id="harbour", name="Harbour", default_room="Harbour", front_panel="gpio", panel_url="https://harbour.local:8090"
)
VISIT = Visit(room_name="Harbour", attempt=1, origin=Origin.BUTTON, muted=False, camera_on=True)
ROOM = RoomView(name="Harbour", sid="RM1")
GUEST = Guest(link="https://rooms.example/join/harbour#token", address="rooms.example/join/harbour")
BASE = KioskState(device=DEVICE, since=NOW - timedelta(seconds=109), guest=GUEST, quality=1)
CALL = replace(BASE, phase=Phase.IN_ROOM, visit=VISIT, room=ROOM, mic_live=True, camera_live=True)
RETRY = Next(action="retry", at=NOW + timedelta(seconds=119))
TWO = tuple(Person(sid=f"PA{i}", name=name) for i, name in enumerate(("Amara Okafor", "Jonas Weber")))

STATES: dict[str, KioskState] = {
    "booting": BASE,
    "idle": replace(BASE, phase=Phase.IDLE),
    **{f"idle, {code}": replace(BASE, phase=Phase.IDLE, issues=(Issue(code=code),)) for code in TOLD_IN_IDLE},
    "stopping": replace(BASE, phase=Phase.STOPPING),
    "leaving": replace(CALL, phase=Phase.LEAVING),
    "setup": replace(BASE, phase=Phase.SETUP, detail="K7QM 4TXR"),
    "updating": replace(BASE, phase=Phase.UPDATING, detail="Version 1.5.0"),
    **{
        f"joining, camera {camera}, muted {muted}": replace(
            CALL, phase=Phase.JOINING, visit=replace(VISIT, camera_on=camera, muted=muted)
        )
        for camera in (True, False)
        for muted in (True, False)
    },
    "joining, first seconds": replace(CALL, phase=Phase.JOINING, since=NOW),
    "joining, full": replace(CALL, phase=Phase.JOINING, reason="room_full", next=RETRY),
    "joining, waits": replace(CALL, phase=Phase.JOINING, next=RETRY),
    "alone": CALL,
    "alone, leaves": replace(CALL, next=Next(action="leave", at=NOW + timedelta(seconds=29))),
    "in a call, link weak": replace(CALL, room=replace(ROOM, people=TWO)),
    "in a call, muted": replace(CALL, room=replace(ROOM, people=TWO), visit=replace(VISIT, muted=True)),
    "in a call, held": replace(
        CALL, room=replace(ROOM, people=TWO), visit=replace(VISIT, muted=True), talk_held=True, quality=5
    ),
    "in a call, no microphone": replace(CALL, room=replace(ROOM, people=TWO), microphone_absent=True, mic_live=False),
    "in a call, no camera": replace(CALL, room=replace(ROOM, people=TWO), camera_absent=True),
    "in a call, camera off, recorded": replace(
        CALL, room=replace(ROOM, people=TWO, recording=True), visit=replace(VISIT, camera_on=False)
    ),
    "in a call, switched off": replace(CALL, room=replace(ROOM, people=TWO), blocked=True, mic_live=False),
    "reconnecting": replace(CALL, phase=Phase.RECONNECTING, next=RETRY),
    "reconnecting, muted, camera off": replace(
        CALL, phase=Phase.RECONNECTING, visit=replace(VISIT, muted=True, camera_on=False)
    ),
    "reconnecting, switched off": replace(CALL, phase=Phase.RECONNECTING, blocked=True),
    **{
        f"error, {reason}": replace(BASE, phase=Phase.ERROR, reason=reason, next=RETRY)
        for reason in ("service_unreachable", "token_rejected", "identity_invalid", "media_incompatible", "other")
    },
    "error, no retry": replace(BASE, phase=Phase.ERROR, reason="identity_invalid"),
}


def drawn(made: Scene, wall: Wall, height: int) -> tuple[Scale, list[Item]]:
    scale = Scale(geometry(wall), height)
    items: list[Item] = [item for group in compose(made, scale, wall) for item in group.items]
    return scale, items + list(paint(made.line, still_pose(made.line), scale, wall.width, touch=wall.touch))


def places(scale: Scale, items: list[Item]) -> Iterator[tuple[str, Rect]]:
    """Yield what must not lie upon each other: words (by capitals' height), icons, codes."""
    for item in items:
        match item:
            case Words(x, baseline, text, role, size=size, anchor=anchor, tracking=tracking):
                w = scale.width(text, role, size, tracking)
                left = x - {"left": 0.0, "middle": w / 2, "right": w}[anchor]
                tall = 0.727 * (size or scale.geometry.faces[role].size)
                yield repr(text), Rect(left, baseline - tall, w, tall)
            case Icon(name, x, y, size):
                yield name, Rect(x, y, size, size)
            case Plate(place):
                yield "QR code", place


def overlap(a: Rect, b: Rect) -> bool:
    slack = 0.3  # icons have air inside
    beside = a.x + a.w <= b.x + slack or b.x + b.w <= a.x + slack
    return not (beside or a.y + a.h <= b.y + slack or b.y + b.h <= a.y + slack)


@pytest.mark.parametrize("locale", ["en", "de", PSEUDO])
@pytest.mark.parametrize("shape", [WALL, TOUCH], ids=["wall", "touch"])
@pytest.mark.parametrize("state", STATES.values(), ids=STATES.keys())
def test_everything_said_is_whole_on_the_screen_and_not_upon_another(
    state: KioskState, shape: tuple[Wall, int], locale: str
) -> None:
    wall, height = shape
    made = scene(state, NOW, Catalogue(locale), wall)
    scale, items = drawn(made, wall, height)
    found = list(places(scale, items))
    edge = 2.9 if wall.touch else 7.9
    for name, place in found:
        assert place.x >= edge, name
        assert place.x + place.w <= wall.width - edge + 0.3, name
        assert place.y >= 2.4, name
        assert place.y + place.h <= scale.geometry.height, name
    for i, (name, place) in enumerate(found):
        for other, there in found[i + 1 :]:
            assert not overlap(place, there), f"{name} lies upon {other}"
    if locale != PSEUDO:  # 40 % longer than anything that was written: it may end in dots, not run over
        assert not [name for name, _ in found if "…" in name]
    pictures = [item.place for item in items if isinstance(item, Picture) and item.slot == "self"]
    for name, place in found:
        assert not any(overlap(place, picture) for picture in pictures), f"{name} lies upon our picture"


@pytest.mark.parametrize("locale", ["en", "de"])
def test_what_shines_in_the_dark_is_only_name_and_clock(locale: str) -> None:
    state = replace(BASE, phase=Phase.IDLE)
    made = scene(state, NOW, Catalogue(locale), rest=Rest(NOW - timedelta(seconds=200)))
    scale, items = drawn(made, *WALL)
    assert [name for name, _ in places(scale, items)] == ["'Harbour'", "'20:48'"]


def test_long_names_of_rooms_and_people_end_in_dots_inside_the_screen() -> None:
    name = "The Right Honourable Conference Room of the Hanseatic League, Second Floor"
    people = tuple(Person(sid=f"PA{i}", name=f"Maximiliane {name}") for i in range(5))
    for state in STATES.values():
        long = replace(
            state,
            device=replace(DEVICE, name=name, default_room=name),
            visit=replace(state.visit, room_name=name) if state.visit else None,
            room=replace(state.room, name=name, people=people if state.room.people else ()) if state.room else None,
        )
        for wall, height in (WALL, TOUCH):
            scale, items = drawn(scene(long, NOW, Catalogue("en"), wall), wall, height)
            for said, place in places(scale, items):
                assert place.x >= 2.9, said
                assert place.x + place.w <= wall.width - 2.6, said
