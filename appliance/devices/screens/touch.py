"""The touch panel: the same scenes at arm's length, with keys below the Line. Numbers: geometry.md, second table."""

from .base import (
    CallScene,
    DimScene,
    ErrorScene,
    IdleScene,
    JoiningScene,
    KeyAction,
    ReconnectingScene,
    Rect,
    RingingScene,
    Scene,
    SetupScene,
    StandbyScene,
    StartingScene,
    TouchKey,
    UpdatingScene,
)
from .call import self_group, tile_group
from .fit import largest, shorten, wrap
from .items import Fill, Group, Icon, Panel, Plate, Still, Words
from .look import QR_TOUCH, TOUCH, TOUCH_KEYS
from .textures import Scale

LEFT, STAND, LINE, HEIGHT = 4.0, 37.5, 41.0, 60.0
NAME, BELOW = 8.2, 12.6
KEY_GAP = 2.0
ICON_TO_WORD = 1.4
CAPITAL = 0.727
QR_Y, QR_R, QR_MARGIN = 20.5, 1.0, 1.25
TAG_TOP, TAG_EDGE, TAG_H, TAG_R = 2.5, 3.0, 3.9, 1.0
BODY_LEADING, SMALL_LEADING = 3.44, 2.9


def key_place(key: TouchKey, width: float) -> Rect:
    """Return where a key is; three columns share the width."""
    column = (width - 2 * TOUCH_KEYS["x"][0] - 2 * KEY_GAP) / 3
    x = TOUCH_KEYS["x"][0] + key.column * (column + KEY_GAP)
    w = key.columns * column + (key.columns - 1) * KEY_GAP
    return Rect(x, TOUCH_KEYS["y"], w, TOUCH_KEYS["h"])


def key_at(scene: Scene, x: float, y: float, width: float) -> KeyAction | None:
    """Return what a touch at this place, in u, asks for."""
    for key in scene.keys:
        place = key_place(key, width)
        if place.x <= x < place.x + place.w and place.y <= y < place.y + place.h:
            return key.action
    return None


def compose(scene: Scene, scale: Scale, width: float) -> list[Group]:
    """Return what a touch panel shows above and below the Line, back to front."""
    groups = _above(scene, scale, width)
    below: list[Still] = [Fill(Rect(0, LINE, width, HEIGHT - LINE), "ink")]
    for key in scene.keys:
        below += _key(key, scale, width)
    if not scene.keys and not isinstance(scene, DimScene | StandbyScene):
        hint = f"{scene.bar.hint} {scene.bar.hint_strong}".strip()
        below += _plain(hint or scene.bar.left, scale, width)
    elif isinstance(scene, IdleScene):
        below += _note(scene.bar.left, scale, key_place(scene.keys[0], width).x - 2 * KEY_GAP)
    return [*groups, Group("bar", Rect(0, LINE, width, HEIGHT - LINE), tuple(below))]


def _key(key: TouchKey, scale: Scale, width: float) -> list[Still]:
    place = key_place(key, width)
    ground, ink = {"plain": ("high", "paper"), "primary": ("paper", "ink"), "muted": ("muted", "ink")}[key.tone]
    icon = float(TOUCH_KEYS["icon"])
    label = shorten(scale, key.label, "strong", place.w - icon - ICON_TO_WORD - 3)
    x = place.x + (place.w - icon - ICON_TO_WORD - scale.width(label, "strong")) / 2
    middle = place.y + place.h / 2
    baseline = middle + TOUCH.faces["strong"].size * CAPITAL / 2
    return [
        Panel(place, TOUCH_KEYS["r"], ground),
        Icon(key.icon, x, middle - icon / 2, icon, ink),
        Words(x + icon + ICON_TO_WORD, baseline, label, "strong", ink),
    ]


def _plain(text: str, scale: Scale, width: float) -> list[Still]:
    return [Words(LEFT, 52.2, shorten(scale, text, "body", width - 2 * LEFT), "body", "soft")]


def _note(text: str, scale: Scale, right: float) -> list[Still]:
    """Small words where the first key would be."""
    lines = wrap(scale, text, "small", right - LEFT)
    first = TOUCH_KEYS["y"] + TOUCH_KEYS["h"] / 2 - (len(lines) - 1) * SMALL_LEADING / 2 + 0.8
    return [Words(LEFT, first + i * SMALL_LEADING, line, "small", "soft") for i, line in enumerate(lines)]


def _heading(name: str, below: str, scale: Scale, width: float) -> list[Still]:
    room = width / 2 - LEFT
    size, lines = largest(scale, name, "hero", room, (6.0, 4.5))
    items: list[Still] = [Words(LEFT, NAME, lines[0] if lines else "", "hero", size=size)]
    if below:
        items.append(Words(LEFT, BELOW, shorten(scale, below, "body", room), "body", "soft"))
    return items


def _above(scene: Scene, scale: Scale, width: float) -> list[Group]:
    whole = Rect(0, 0, width, LINE)
    match scene:
        case CallScene():
            groups = [tile_group(tile, scale, width) for tile in scene.tiles]
            if scene.self_view is not None:
                groups.append(self_group(scene.self_view, scale))
            over = _large(scene.notice, "", scale, width) if scene.notice else []
            return [*groups, Group("over", whole, tuple(over + _time_tag(scene, scale, width)))]
        case JoiningScene():
            items = _heading(scene.name, scene.date, scale, width) + _large(scene.room, scene.label, scale, width)
            return [Group("scene", whole, tuple(items)), self_group(scene.self_view, scale)]
        case ReconnectingScene():
            items = _heading(scene.name, scene.label, scale, width)
            items += _large(scene.title, scene.notes[-1], scale, width)
            return [Group("scene", whole, tuple(items)), self_group(scene.self_view, scale)]
        case IdleScene():
            items = _idle(scene, scale, width)
        case RingingScene():
            items = _heading(scene.name, scene.bar.left, scale, width)
            items += _large(scene.caller, scene.caller_label, scale, width, icon="ring")
            items.append(Words(LEFT, STAND, str(scene.seconds), "clock"))
            end = LEFT + scale.width(str(scene.seconds), "clock") + 0.5
            items.append(Words(end, STAND, "s", "clock", "soft", size=6.8))
        case StartingScene():
            items = _heading(scene.name, scene.below, scale, width)
        case UpdatingScene():
            items = _heading(scene.name, scene.title, scale, width)
            items.append(Words(LEFT, STAND, f"{scene.percent}", "clock"))
            end = LEFT + scale.width(f"{scene.percent}", "clock") + 0.5
            items.append(Words(end, STAND, "%", "clock", "soft", size=8.5))
        case ErrorScene():
            items = _error(scene, scale, width)
        case SetupScene():
            items = _setup(scene, scale, width)
        case DimScene():
            x = width / 2 + 4 if scene.right_column else LEFT
            items = [
                Words(x, NAME, shorten(scale, scene.name, "hero", width / 2 - 8), "hero", "soft", alpha=0.34),
                Words(x, STAND, scene.clock, "clock", "soft", alpha=0.34),
            ]
        case StandbyScene():
            mark = scene.mark
            items = [] if mark is None else [Fill(Rect(3 + mark * (width - 14) / 25, LINE, 8, 0.75), "mark")]
    return [Group("scene", whole, tuple(items))]


def _idle(scene: IdleScene, scale: Scale, width: float) -> list[Still]:
    items = _heading(scene.name, "" if scene.notice else scene.date, scale, width)
    if scene.notice:
        items.append(Icon("warning", LEFT, BELOW - 2.7, 3.4, "attention"))
        text = shorten(scale, scene.notice, "strong", width / 2 - LEFT - 4.4)
        items.append(Words(LEFT + 4.4, BELOW, text, "strong", "attention"))
    items.append(Words(LEFT, STAND, scene.clock, "clock"))
    x = width / 2 + 4
    if scene.booking is not None:
        items.append(Words(x, 5.4, shorten(scale, scene.booking.label, "body", width - 3 - x), "body", "soft"))
        items.append(Words(x, 10.4, shorten(scale, scene.booking.title, "title", width - 3 - x), "title"))
    if scene.invitation is not None:
        items.append(Plate(Rect(x, QR_Y, QR_TOUCH, QR_TOUCH), QR_R, QR_MARGIN, scene.invitation.link))
        x += QR_TOUCH + 2
        room, baseline = width - 3 - x, STAND - 0.1
        for text in reversed(scene.invitation.lines):
            items.append(Words(x, baseline, shorten(scale, text, "small", room), "small", "soft"))
            baseline -= SMALL_LEADING
        baseline -= 0.55
        for text in reversed(wrap(scale, scene.invitation.title, "strong", room)):
            items.append(Words(x, baseline, text, "strong"))
            baseline -= BODY_LEADING
    return items


def _large(text: str, label: str, scale: Scale, width: float, icon: str = "") -> list[Still]:
    """A name or sentence in large type in the right column, with a label over it."""
    x = width / 2 + 4
    size, lines = largest(scale, text, "hero", width - 3 - x, (8.0, 6.0, 4.5), most_lines=3)
    leading = size * 1.04
    items: list[Still] = [
        Words(x, STAND - (len(lines) - 1 - i) * leading, line, "hero", size=size) for i, line in enumerate(lines)
    ]
    if label:
        baseline = STAND - (len(lines) - 1) * leading - size * CAPITAL - 3
        if icon:
            items.append(Icon(icon, x, baseline - 2.7, 3.4, "soft"))
            x += 3.4 + 1.2
        items.append(Words(x, baseline, shorten(scale, label, "body", width - 3 - x), "body", "soft"))
    return items


def _time_tag(scene: CallScene, scale: Scale, width: float) -> list[Still]:
    """Bars and time, upper right, on a tag."""
    time = scene.bar.time or ""
    size = TOUCH.faces["name"].size
    icon = size + 0.8 if scene.bar.quality is not None else 0.0
    w = scale.width(time, "name") + icon + 2.5
    x = width - TAG_EDGE - w
    items: list[Still] = [Panel(Rect(x, TAG_TOP, w, TAG_H), TAG_R, "ink", alpha=0.86)]
    if scene.bar.quality is not None:
        items.append(Icon("signal", x + 1.2, TAG_TOP + (TAG_H - size) / 2, size, bars=scene.bar.quality))
    items.append(Words(x + 1.2 + icon, TAG_TOP + 0.45 + 0.964 * size, time, "name"))
    return items


def _error(scene: ErrorScene, scale: Scale, width: float) -> list[Still]:
    items = _heading(scene.name, "", scale, width)
    items.append(Icon("warning", LEFT, BELOW - 2.7, 3.4, "error"))
    items.append(Words(LEFT + 4.4, BELOW, scene.title, "strong", "error"))
    rows = [*scene.remedies, scene.code]
    room = width - 2 * LEFT
    for i, text in enumerate(rows):
        tone = "soft" if i == len(rows) - 1 else "paper"
        baseline = STAND - (len(rows) - 1 - i) * 3.8
        items.append(Words(LEFT, baseline, shorten(scale, text, "body", room), "body", tone))
    lines = wrap(scale, scene.headline, "title", room)
    last = STAND - (len(rows) - 1) * 3.8 - 5.5
    return items + [Words(LEFT, last - (len(lines) - 1 - i) * 4.5, t, "title") for i, t in enumerate(lines)]


def _setup(scene: SetupScene, scale: Scale, width: float) -> list[Still]:
    items = _heading(scene.name, scene.below, scale, width)
    x = width / 2 + 4
    how = " ".join(scene.how).replace("[", "").replace("]", "")
    for i, text in enumerate(wrap(scale, how, "body", width - 3 - x)):
        items.append(Words(x, 5.4 + i * BODY_LEADING, text, "body", "soft"))
    items.append(Words(LEFT, STAND, scene.code, "clock", size=9.0, tracking=0.01))
    if scene.link:
        place = Rect(width - 3 - QR_TOUCH, QR_Y, QR_TOUCH, QR_TOUCH)
        items.append(Plate(place, QR_R, QR_MARGIN, scene.link))
    return items
