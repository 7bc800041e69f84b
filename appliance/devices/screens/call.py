"""The screens with pictures: joining, in a call, reconnecting. Numbers: geometry.md."""

from .bar import BETWEEN, ICON, ICON_RISE
from .base import CallScene, JoiningScene, ReconnectingScene, Rect, SelfView, Tile
from .fit import largest, shorten, shorten_name, wrap
from .items import Group, Icon, Item, Panel, Picture, Still, Words
from .look import SPEAKER_RING, Role
from .standing import CAPITAL, COLUMN, EDGE, LEFT, STAND, heading
from .textures import Scale

PREVIEW_LABEL = 52.0
HERO_LEADING = 16.6
BEARING = 0.05  # em before the ink of a first letter, as a browser leaves it
INITIALS = 0.34  # of the height of the tile
SELF_OFF_ICON = 6.0
HEAD_BIAS = 0.3  # a full picture is cropped around 30 % of its height, where faces are
NOTES_LAST, NOTES_LEADING = 112.0, 6.9


class TagStyle:
    """How a name tag is drawn: numbers of geometry.md for tile, small tile and full picture."""

    def __init__(self, size: float, pad: tuple[float, float], r: float, inset: float, gap: float) -> None:
        self.size, self.pad, self.r, self.inset, self.gap = size, pad, r, inset, gap
        self.height = 1.2 * size + 2 * pad[1]
        self.baseline = pad[1] + 0.964 * size


TAGS = {
    "tile": TagStyle(4.5, (2.0, 0.7), 1.5, 1.5, 1.4),
    "small": TagStyle(3.5, (1.5, 0.5), 1.2, 1.0, 1.0),
    "full": TagStyle(5.5, (2.0, 0.7), 1.5, 0.0, 1.4),
    "main": TagStyle(5.5, (2.0, 0.7), 1.5, 2.0, 1.4),
}
TOUCH_TAG = TagStyle(2.5, (1.2, 0.45), 1.0, 1.0, 0.8)
OWN_ROLE: dict[str, Role] = {"tile": "name", "small": "small", "full": "body", "main": "strong"}


def self_group(view: SelfView, scale: Scale) -> Group:
    """Return our own picture, mirrored; a quiet panel with an icon while the camera is off or not there yet."""
    place = view.place
    icon = SELF_OFF_ICON * (0.5 if scale.geometry.height == 60 else 1.0)
    off: tuple[Still, ...] = (
        Panel(place, scale.geometry.tile_r, "high"),
        Icon("camera-off", place.x + (place.w - icon) / 2, place.y + (place.h - icon) / 2, icon, "soft"),
    )
    if view.slot is None:
        return Group("self", place, off)
    waiting: tuple[Still, ...] = (Panel(place, scale.geometry.tile_r, "high"),)
    picture = Picture(view.slot, place, scale.geometry.tile_r, waiting, mirrored=True, framed=view.framed)
    return Group("self", place, (picture,))


def call(scene: CallScene, scale: Scale, width: float) -> list[Group]:
    groups = [tile_group(tile, scale, width) for tile in scene.tiles]
    if scene.self_view is not None:
        groups.append(self_group(scene.self_view, scale))
    if scene.notice:
        groups.append(Group("notice", Rect(0, 0, width, STAND), tuple(_large_right(scene.notice, scale, width))))
    return groups


def tile_group(tile: Tile, scale: Scale, width: float) -> Group:
    """Return one person: picture or initials, name tag, and the ring of who speaks."""
    place, full = tile.place, tile.look == "full"
    r = 0.0 if full else scale.geometry.tile_r
    blank: list[Still] = [Panel(place, r, "raised"), _letters(tile, scale)]
    items: list[Item] = list(blank)
    if tile.slot is not None:
        items = [Picture(tile.slot, place, r, tuple(blank), bias=HEAD_BIAS if full else 0.5)]
    if tile.speaking:
        ring = SPEAKER_RING
        around = Rect(place.x - ring, place.y - ring, place.w + 2 * ring, place.h + 2 * ring)
        items.append(Panel(around, r + ring, "paper", stroke=ring))
    if tile.name:
        items += name_tag(tile, scale, width)
    return Group(tile.key, place, tuple(items))


def _letters(tile: Tile, scale: Scale) -> Words:
    """Return the initials: in the middle; in a low tile in the middle of what the name tag leaves."""
    place = tile.place
    size = min(INITIALS * place.h, 24.0)
    style = tag_style(tile, scale)
    tag = style.inset + style.height if tile.name and tile.look not in ("full", "main") else 0.0
    free = place.h - tag if (place.h - size * CAPITAL) / 2 < tag + 1 else place.h
    baseline = place.y + free / 2 + size * CAPITAL / 2
    return Words(place.x + place.w / 2, baseline, tile.initials, "hero", "soft", size=size, anchor="middle")


def tag_style(tile: Tile, scale: Scale) -> TagStyle:
    return TOUCH_TAG if scale.geometry.height == 60 else TAGS.get(tile.look, TAGS["tile"])


def name_tag(tile: Tile, scale: Scale, width: float) -> list[Still]:
    """Return the tag with a name and, before it, whether the microphone is off; inverted while they speak."""
    touch = scale.geometry.height == 60
    style = tag_style(tile, scale)
    role: Role = "strong" if tile.speaking or tile.look == "main" else OWN_ROLE.get(tile.look, "name")
    ground, ink = ("paper", "ink") if tile.speaking or tile.look == "main" else ("ink", "paper")
    icon = style.size + style.gap if tile.microphone_off else 0.0
    edge = 3.0 if touch else EDGE
    most = tile.place.w - 2 * style.inset - 2 * style.pad[0] - icon if style.inset else width / 2 - edge - icon
    name = shorten_name(scale, tile.name, role, most, style.size)
    text = scale.width(name, role, style.size) + BEARING * style.size
    w = text + 2 * style.pad[0] + icon
    if tile.look in ("full", "main"):
        right = width - edge if tile.look == "full" else tile.place.x + tile.place.w - style.inset
        bottom = scale.geometry.stand if tile.look == "full" else tile.place.y + tile.place.h - style.inset
        x, y = right - w, bottom - style.height
    else:
        x, y = tile.place.x + style.inset, tile.place.y + tile.place.h - style.inset - style.height
    items: list[Still] = [Panel(Rect(x, y, w, style.height), style.r, ground, alpha=1.0 if ground == "paper" else 0.86)]
    begin = x + style.pad[0]
    if tile.microphone_off:
        # Where a name runs from right to left the icon still comes before it: on its right.
        icon_x = begin + text + style.gap if scale.right_to_left(name) else begin
        begin += 0.0 if scale.right_to_left(name) else icon
        items.append(Icon("mic-off", icon_x, y + (style.height - style.size) / 2, style.size, ink))
    items.append(Words(begin + BEARING * style.size, y + style.baseline, name, role, ink, size=style.size))
    return items


def _large_right(text: str, scale: Scale, width: float) -> list[Still]:
    """A sentence in large type in the right column, its last line on the stand."""
    x = width / 2 + COLUMN
    size, lines = largest(scale, text, "hero", width - EDGE - x, (13.0, 9.0), most_lines=3)
    return [Words(x, STAND - (len(lines) - 1 - i) * size * 1.1, t, "hero", size=size) for i, t in enumerate(lines)]


def joining(scene: JoiningScene, scale: Scale, width: float) -> list[Group]:
    x = width / 2 + COLUMN
    room = width - EDGE - x
    size, lines = largest(scale, scene.room, "hero", room, (16.0, 13.0), most_lines=2)
    items = heading(scene.name, scene.date, scale, width - LEFT - EDGE)
    items.append(Words(LEFT, PREVIEW_LABEL + 0.7, scene.preview_label, "body", "soft"))
    leading = HERO_LEADING * size / 16
    for i, text in enumerate(lines):
        items.append(Words(x, STAND - (len(lines) - 1 - i) * leading, text, "hero", size=size))
    label = STAND - (len(lines) - 1) * leading - size * CAPITAL - 6.9
    items.append(Words(x, label, shorten(scale, scene.label, "body", room), "body", "soft"))
    return [Group("scene", Rect(0, 0, width, STAND), tuple(items)), self_group(scene.self_view, scale)]


def reconnecting(scene: ReconnectingScene, scale: Scale, width: float) -> list[Group]:
    x = width / 2 + COLUMN
    room = width - EDGE - x
    items = heading(scene.name, scene.date, scale, width - LEFT - EDGE)
    items.append(Words(LEFT, PREVIEW_LABEL + 0.7, scene.preview_label, "body", "soft"))
    notes = [line for note in scene.notes for line in wrap(scale, note, "body", room)]
    for i, text in enumerate(notes):
        items.append(Words(x, NOTES_LAST - (len(notes) - 1 - i) * NOTES_LEADING, text, "body", "soft"))
    baseline = NOTES_LAST - (len(notes) - 1) * NOTES_LEADING - 10.3
    size, lines = largest(scale, scene.title, "hero", room, (16.0, 13.0, 9.0))
    items.append(Words(x, baseline, lines[0], "hero", size=size))
    label = baseline - size * CAPITAL - 8.9
    items.append(Icon("warning", x, label - ICON_RISE, ICON, "attention"))
    items.append(Words(x + ICON + BETWEEN, label, scene.label, "body", "attention"))
    return [Group("scene", Rect(0, 0, width, STAND), tuple(items)), self_group(scene.self_view, scale)]
