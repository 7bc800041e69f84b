"""What a screen shows, as plain values, and what a screen promises.

Lengths are in u: 1 u is 1/135 of the screen's height (1/60 on a touch panel, below 600 px of height).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import av

ScreenState = Literal["shown", "no_display", "stuck", "given_up", "closed"]
Tone = Literal["paper", "soft", "faint", "live", "muted", "attention", "error"]
SELF_SLOT = "self"  # the slot of our own camera; every other slot is named by a track SID


class Rect(NamedTuple):
    """A place on the screen, in u from its upper left corner."""

    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True, slots=True)
class Wall:
    """The shape of a screen: what a scene must know of it. 16:9 is 240 u wide; a touch panel of 5:3 is 100."""

    width: float = 240.0
    touch: bool = False


# The line of light


@dataclass(frozen=True, slots=True)
class Pill:
    """A word on the Line. `word_key` names it in the catalogue, `word` is it in the screen's language."""

    icon: str
    word_key: str
    tone: Literal["muted", "attention", "outline"]
    word: str = ""


@dataclass(frozen=True, slots=True)
class RightHalf:
    """The half of the others. `part` (0..1 of the half, from the right edge) counts only where `kind` is part."""

    kind: Literal["rest", "connected", "part", "dashes", "marks", "long_short"] = "rest"
    part: float = 0.0


@dataclass(frozen=True, slots=True)
class LineOfLight:
    """The Line, made by kiosk/line.py alone; screen, lamps, panel and guest page only paint it."""

    left_lit: bool = False
    right: RightHalf = RightHalf()
    cut: Pill | None = None
    left_pill: Pill | None = None
    right_pill: Pill | None = None
    pulse: Literal["none", "slow", "held"] = "none"  # starting: the rest colour breathes; held: the middle at 2 Hz
    sentence_key: str = "line.idle"


# What stands around the Line


@dataclass(frozen=True, slots=True)
class Bar:
    """The words below the Line. `hint` writes keys in brackets: "Press [Leave] to cancel"."""

    left_icons: tuple[str, ...] = ()
    left: str = ""
    left_tone: Tone = "soft"
    middle_icon: str | None = None
    middle: str = ""
    hint: str = ""
    hint_icon: str | None = None
    hint_strong: str = ""  # after the hint, in first text: what counts down, or what must be done
    people: int | None = None
    quality: int | None = None  # bars of the link, 0..4
    network: str | None = None  # icon: wifi, globe, warning
    time: str | None = None


@dataclass(frozen=True, slots=True)
class Tile:
    """One person in a call. `slot` is None where nothing is to be decoded: initials then."""

    key: str
    name: str
    initials: str
    place: Rect
    slot: str | None = None
    microphone_off: bool = False
    speaking: bool = False
    look: Literal["full", "main", "tile", "small", "rest"] = "tile"  # rest counts those without a tile: "+3"


@dataclass(frozen=True, slots=True)
class SelfView:
    """Our own picture, mirrored; without a slot the camera is off."""

    place: Rect
    slot: str | None = SELF_SLOT
    framed: bool = False  # lies over a picture


@dataclass(frozen=True, slots=True)
class Booking:
    """What the schedule has next: three lines of text."""

    label: str
    title: str
    rest: str


@dataclass(frozen=True, slots=True)
class Invitation:
    """A QR code with words beside or above it."""

    link: str
    title: str
    lines: tuple[str, ...] = ()


KeyAction = Literal["camera", "microphone", "leave", "join"]


@dataclass(frozen=True, slots=True)
class TouchKey:
    """A key of a touch panel. `column` 0..2 is where it begins, `columns` how wide it is; keys say what is."""

    action: KeyAction
    icon: str
    label: str
    column: int
    columns: int = 1
    tone: Literal["plain", "primary", "muted"] = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Any:
    line: LineOfLight
    name: str
    bar: Bar = Bar()
    keys: tuple[TouchKey, ...] = ()  # only on a touch panel
    shift: int = 0  # 0..3: where on a square of half a u the whole picture stands, against burn-in


@dataclass(frozen=True, slots=True, kw_only=True)
class StartingScene(_Any):
    """Probing hardware: the name and one word."""

    below: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleScene(_Any):
    """Ready, in no room."""

    date: str
    clock: str
    booking: Booking | None = None
    invitation: Invitation | None = None
    notice: str = ""  # what wants a look, in place of the date


@dataclass(frozen=True, slots=True, kw_only=True)
class RingingScene(_Any):
    """A call or a remote join counts down."""

    date: str
    label: str
    seconds: int
    caller_label: str
    caller: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JoiningScene(_Any):
    """On the way into a room: what the others will see, and where we go."""

    date: str
    preview_label: str
    self_view: SelfView
    label: str
    room: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallScene(_Any):
    """In a room. Tiles are laid out already (kiosk/tiles.py), the first one in front where they overlap."""

    tiles: tuple[Tile, ...]
    self_view: SelfView | None = None
    notice: str = ""  # alone in the room: what is said where nobody is


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconnectingScene(_Any):
    """The link is lost, everything else is kept."""

    date: str
    preview_label: str
    self_view: SelfView
    label: str
    title: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorScene(_Any):
    """What cannot be done, why, what to do about it, and a code."""

    title: str
    headline: str
    remedies: tuple[str, ...]
    code: str
    details: Invitation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatingScene(_Any):
    """An update installs; 0..100 percent."""

    date: str
    title: str
    detail: str
    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupScene(_Any):
    """No room yet: a code to enter elsewhere. `how` writes what is to be read aloud in brackets."""

    below: str
    how: tuple[str, ...]
    code: str
    link: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DimScene(_Any):
    """Nobody came for a while: name and clock, faint, on either column in turn."""

    clock: str
    right_column: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbyScene(_Any):
    """Dark. `mark` is one of 26 places on the Line, None leaves nothing at all."""

    mark: int | None = None


Scene = (
    StartingScene
    | IdleScene
    | RingingScene
    | JoiningScene
    | CallScene
    | ReconnectingScene
    | ErrorScene
    | UpdatingScene
    | SetupScene
    | DimScene
    | StandbyScene
)


class Screen(Protocol):
    """Shows the newest scene and, in its tiles, the newest frame of each slot. Draws on a thread of its own."""

    @property
    def wall(self) -> Wall:
        """The shape to make scenes for; of a 16:9 wall before the first open and while no display is connected."""

    def open(self, size: tuple[int, int] | None = None) -> AbstractContextManager[None]:
        """Start drawing; leaving stops it and gives the display back.

        A display that is not connected is waited for, not missed: the kiosk runs without it.

        Args:
            size: of the window in pixels, where the display does not decide it.
        Raises:
            DeviceMissing: the library that draws is not installed, or knows no such driver.
        """

    on_key: Callable[[KeyAction], None]
    """Called on the drawing thread when somebody touches a key."""

    def show(self, scene: Scene) -> None:
        """Show this scene from the next frame on; any thread, returns at once, the newest wins."""

    def slot(self, key: str) -> "Callable[[av.VideoFrame], None]":
        """Return where to put frames (yuv420p, any size); one deep, callable from any thread, never blocks."""

    def drop_slot(self, key: str) -> None:
        """Forget this slot and its picture."""

    def health(self) -> "ScreenHealth":
        """What the kiosk makes issues of; any thread."""

    async def picture(self) -> bytes:
        """Return a PNG of exactly what is shown now. Raise DeviceLost where nothing is drawn within 2 s."""


@dataclass(frozen=True, slots=True)
class ScreenHealth:
    """How the screen fares (kiosk.md 7)."""

    state: ScreenState
    driver: str
    size: tuple[int, int]  # pixels; (0, 0) while there is no display
    presented: int  # frames since open
    restarts: int
