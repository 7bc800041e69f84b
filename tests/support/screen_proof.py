"""Draw every screen of the wall into a folder, to lay them beside the pictures they are meant to be.

python -m tests.support.screen_proof FOLDER [--size 1920x1080] [--only NAME] [--documentation]

With --documentation six of them come 1280 px wide, in few colours and so small, under the names docs/images has.
"""

import argparse
import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

from PIL import Image

from appliance.devices.screens.base import (
    SELF_SLOT,
    Bar,
    Booking,
    CallScene,
    DimScene,
    ErrorScene,
    IdleScene,
    Invitation,
    JoiningScene,
    LineOfLight,
    Pill,
    ReconnectingScene,
    Rect,
    RightHalf,
    RingingScene,
    Scene,
    SelfView,
    SetupScene,
    StandbyScene,
    StartingScene,
    TouchKey,
    UpdatingScene,
    Wall,
)
from appliance.devices.screens.look import SELF_JOINING, wall_of
from appliance.devices.screens.virtual import VirtualScreen
from appliance.kiosk.state import Person
from appliance.kiosk.tiles import layout
from tests.support.screen_people import frame_of, meeting_room, person

NAMES = (
    "Amara Okafor", "Jonas Weber", "林 美玲", "ليلى حداد", "Sofia Rossi", "Tomasz Nowak", "Priya Raman", "Daniel Kim",
    "Ingrid Solberg", "Αλέξανδρος Παπαδόπουλος", "Юлия Смирнова", "Zoë 🌻", "김서연", "דנה לוי", "प्रिया", "Ana",
)  # fmt: skip
MUTED = Pill("mic-off", "mic.muted", "muted", "Muted")
DARK = Bar(left_icons=("camera-off",), left="Camera and microphone are off", network="wifi")
CONNECTED = LineOfLight(left_lit=True, right=RightHalf("connected"))


def people(
    count: int, *, muted: tuple[int, ...] = (), speaking: int | None = None, dark: tuple[int, ...] = ()
) -> list[Person]:
    """Return the first so many of our people, some muted, one speaking, some without a picture."""
    return [
        Person(
            sid=f"PA{i}",
            name=NAMES[i],
            microphone="off" if i in muted else "on",
            camera="off" if i in dark else "on",
            speaking=i == speaking,
            video=None if i in dark else f"MT{i}",
        )
        for i in range(count)
    ]


def in_call(
    others: list[Person],
    wall: Wall,
    line: LineOfLight = CONNECTED,
    *,
    camera: bool = True,
    bars: int = 4,
    mode: Literal["gallery", "speaker"] = "gallery",
) -> CallScene:
    speaker = next((person.sid for person in others if person.speaking), others[0].sid if others else None)
    placed = layout(others, wall, own_camera=camera, spotlight=speaker if mode == "speaker" else None)
    bar = Bar(
        left_icons=("camera",), left="Harbour", left_tone="paper", middle_icon="mic", middle="Microphone on",
        people=len(others) + 1, quality=bars, time="14:32",
    )  # fmt: skip
    return CallScene(line=line, name="Harbour", bar=bar, tiles=placed.tiles, self_view=placed.self_view)


def scenes(wall: Wall) -> dict[str, Scene]:
    """Return every scene that a picture exists for, with the words of that picture."""
    rest, link = LineOfLight(), "https://rooms.example/join/harbour#invitation"
    phone = Invitation(link, "Join from a phone", ("rooms.example", "/join/harbour"))
    date, when = "Tuesday, 3 March", "Tuesday, 3 March, 14:32"
    cut = LineOfLight(left_lit=True, right=RightHalf("connected"), cut=MUTED)
    camera_off = LineOfLight(
        left_lit=True, right=RightHalf("connected"), left_pill=Pill("camera-off", "camera.off", "outline", "Camera off")
    )
    absent = LineOfLight(
        left_lit=True, right=RightHalf("connected"), cut=Pill("mic-off", "mic.absent", "attention", "No microphone")
    )
    weak = LineOfLight(
        left_lit=True, right=RightHalf("connected"), right_pill=Pill("signal", "link.weak", "attention", "Weak link")
    )
    review = Booking("Next at 15:00", "Design review", "45 minutes, starts in 28")
    own = SelfView(SELF_JOINING, SELF_SLOT)
    hold = "Hold [Leave] 2 s to join Harbour"
    sofia = [Person(sid="PA4", name=NAMES[4], microphone="on", camera="on", video="MT4")]
    return {
        "wall-starting": StartingScene(line=LineOfLight(pulse="slow"), name="Harbour", bar=DARK, below="Starting"),
        "wall-idle": IdleScene(
            line=rest, name="Harbour", date=date, clock="14:32", booking=review, invitation=phone,
            bar=Bar(left_icons=DARK.left_icons, left=DARK.left, hint=hold, network="wifi"),
        ),
        "wall-idle-de": IdleScene(
            line=rest, name="Hafen", date="Dienstag, 3. März", clock="14:32",
            booking=Booking("Nächster Termin 15:00", "Entwurfsbesprechung", "45 Minuten, beginnt in 28"),
            invitation=Invitation(link, "Mit dem Telefon teilnehmen", ("rooms.example", "/join/hafen")),
            bar=Bar(
                left_icons=("camera-off",), left="Kamera und Mikrofon sind aus",
                hint="[Leave] 2 s halten: Hafen betreten", network="wifi",
            ),
        ),
        "wall-ringing": RingingScene(
            line=LineOfLight(right=RightHalf("part", 0.3)), name="Harbour", date=when, label="Joins by itself in",
            seconds=7, caller_label="Calling you", caller="Studio Lisbon",
            bar=Bar(left_icons=("camera-off",), left="Joins muted, camera off", hint="Press [Leave] to decline"),
        ),
        "wall-joining": JoiningScene(
            line=LineOfLight(left_lit=True, right=RightHalf("part", 0.72)), name="Harbour", date=when,
            preview_label="What the others will see", self_view=own, label="Joining", room="Product planning",
            bar=Bar(left_icons=("camera", "mic"), left="Camera and microphone on", hint="Press [Leave] to cancel"),
        ),
        "wall-call-1": in_call(people(1), wall),
        "wall-call-4": in_call(people(4, muted=(3,), speaking=1), wall),
        "wall-call-9": in_call(people(9, muted=(0, 5, 8), speaking=4, dark=(7,)), wall, bars=3),
        "wall-call-16": in_call(people(16, muted=(2, 3), speaking=13, dark=(9, 10, 11, 12, 13, 14)), wall, bars=3),
        "wall-speaker": in_call(people(9, muted=(5,), speaking=4), wall, mode="speaker"),
        "wall-camera-off": in_call(people(4, speaking=2), wall, camera_off, camera=False),
        "wall-muted": in_call(sofia, wall, cut),
        "wall-no-microphone": in_call(people(2), wall, absent),
        "wall-weak": in_call(people(3), wall, weak, bars=1),
        "wall-reconnecting": ReconnectingScene(
            line=LineOfLight(left_lit=True, right=RightHalf("dashes"), cut=MUTED), name="Harbour", date=when,
            preview_label="Nobody sees this just now", self_view=own, label="No link for 0:07", title="Reconnecting",
            notes=("Your room is kept as it was.", "Next attempt in 2 s"),
            bar=Bar(left_icons=("camera",), left="Harbour", left_tone="paper", hint="Press [Leave] to give up"),
        ),
        "wall-error": ErrorScene(
            line=LineOfLight(right=RightHalf("marks")), name="Harbour", title="Cannot join rooms",
            headline="The rooms service does not answer", code="service_unreachable",
            remedies=("Check that the network cable is plugged in.", "If it is, give your administrator this code:"),
            details=Invitation("https://harbour.local:8090/issues", "Details", ("on your phone",)),
            bar=Bar(left_icons=DARK.left_icons, left=DARK.left, hint="Retry in 12 s, or press [Leave] now"),
        ),
        "wall-updating": UpdatingScene(
            line=LineOfLight(right=RightHalf("part", 0.64)), name="Harbour", date="Tuesday, 3 March, 02:14",
            title="Updating", detail="Version 1.5.0, about 2 minutes left", percent=64,
            bar=Bar(left_icons=DARK.left_icons, left=DARK.left, hint_icon="warning", hint_strong="Leave the power on"),
        ),
        "wall-setup": SetupScene(
            line=LineOfLight(right=RightHalf("part", 0.25)), name="Hello", below="Let’s give this wall a room.",
            how=("Open [rooms.example/add]", "on your phone and enter the code"), code="K7QM 4TXR", link=link,
            bar=Bar(
                left_icons=DARK.left_icons, left=DARK.left, network="wifi",
                hint="Step 1 of 4. Code valid for", hint_strong="9:41",
            ),
        ),
        "wall-dim": DimScene(line=rest, name="Harbour", clock="20:47"),
        "wall-standby": StandbyScene(line=rest, name="Harbour", mark=19),
    }  # fmt: skip


def touch_scenes(wall: Wall) -> dict[str, Scene]:
    """Return the scenes of a touch panel that a picture exists for, and some more."""
    every = scenes(wall)
    leave = TouchKey("leave", "leave", "Leave", 2)
    camera = TouchKey("camera", "camera", "Camera on", 0)
    muted = (camera, TouchKey("microphone", "mic-off", "Muted", 1, tone="muted"), leave)
    keys = (camera, TouchKey("microphone", "mic", "Microphone on", 1), leave)
    join = TouchKey("join", "join", "Join Harbour", 1, 2, "primary")
    answer = (TouchKey("join", "join", "Join now", 0, 2, "primary"), TouchKey("leave", "leave", "Decline", 2))
    own = SelfView(Rect(3, 15, 40, 22.5), SELF_SLOT)
    joining, lost = every["wall-joining"], every["wall-reconnecting"]
    assert isinstance(joining, JoiningScene)
    assert isinstance(lost, ReconnectingScene)
    return {
        "touch-idle": replace(every["wall-idle"], keys=(join,)),
        "touch-call": replace(every["wall-muted"], keys=muted),
        "touch-ringing": replace(every["wall-ringing"], keys=answer),
        "touch-call-5": replace(in_call(people(5, muted=(2,), speaking=1, dark=(4,)), wall), keys=keys),
        "touch-joining": replace(joining, keys=keys, self_view=own),
        "touch-reconnecting": replace(lost, keys=muted, self_view=own),
        "touch-error": replace(every["wall-error"], keys=(TouchKey("leave", "update", "Retry now", 1, 2, "primary"),)),
        "touch-starting": every["wall-starting"],
        "touch-updating": every["wall-updating"],
        "touch-setup": every["wall-setup"],
        "touch-dim": every["wall-dim"],
    }


async def draw_all(folder: Path, size: tuple[int, int], only: str | None) -> None:
    """Show each scene on a virtual screen and keep its picture."""
    screen = VirtualScreen(rate_hz=30.0)
    with screen.open(size):
        screen.slot(SELF_SLOT)(frame_of(meeting_room()))
        for i in range(9):
            screen.slot(f"MT{i}")(frame_of(person(i)))
        wall = wall_of(*size)
        for name, scene in (touch_scenes(wall) if wall.touch else scenes(wall)).items():
            if only is None or only in name:
                screen.show(scene)
                picture = await screen.picture()
                await asyncio.to_thread((folder / f"{name}.png").write_bytes, picture)


DOCUMENTED = {
    "wall-idle": "wall-idle", "wall-call-4": "wall-call", "wall-muted": "wall-muted", "wall-error": "wall-error",
    "wall-joining": "wall-joining", "wall-reconnecting": "wall-reconnecting",
}  # fmt: skip


def for_documentation(drawn: Path, folder: Path) -> None:
    """Reduce pictures for docs/images."""
    for name, called in DOCUMENTED.items():
        picture = Image.open(drawn / f"{name}.png").convert("RGB").resize((1280, 720), Image.Resampling.LANCZOS)
        few = picture.quantize(192, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few.save(folder / f"{called}.png", optimize=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--size", default="1920x1080")
    arguments.add_argument("--only")
    arguments.add_argument("--documentation", action="store_true")
    given = arguments.parse_args()
    width, height = (int(n) for n in given.size.split("x"))
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.documentation:
        with tempfile.TemporaryDirectory() as drawn:
            asyncio.run(draw_all(Path(drawn), (1920, 1080), None))
            for_documentation(Path(drawn), given.folder)
    else:
        asyncio.run(draw_all(given.folder, (width, height), given.only))


if __name__ == "__main__":
    main()
