"""One frame of the wall: the groups of a scene and the Line, put on the canvas in order."""

from dataclasses import dataclass

from . import shapes
from .base import Scene, Wall
from .canvas import Canvas
from .compose import compose
from .items import Group, Picture
from .line import paint
from .look import SHIFT, geometry
from .motion import GroupMotion, LineMotion, Stand
from .textures import Box, Scale, Sprite

SQUARE = ((0, 0), (1, 0), (1, 1), (0, 1))  # the four places of the shift
FRAME = 0.5  # u of ink around a picture upon a picture


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A group whose stills are sprites already; pictures keep what stands in for them."""

    group: Group
    parts: tuple[Sprite | tuple[Picture, tuple[Sprite, ...]], ...]


class Stack:
    """What is drawn for the scene that was shown last."""

    def __init__(self, canvas: Canvas, wall: Wall, *, reduced_motion: bool) -> None:
        self.canvas, self.wall = canvas, wall
        self.scale = Scale(geometry(wall), canvas.size[1])
        self._groups = GroupMotion(reduced=reduced_motion)
        self._line = LineMotion(reduced=reduced_motion)
        self._prepared: dict[int, _Prepared] = {}
        self._shift = (0, 0)
        self._dark = True

    def show(self, scene: Scene, now: float) -> None:
        """Take over a scene; its texts are drawn here, once."""
        groups = compose(scene, self.scale, self.wall)
        self._groups.show(type(scene).__name__, groups, now)
        self._line.show(scene.line, now)
        self._dark = type(scene).__name__ == "StandbyScene"
        step = round(SHIFT * self.scale.u)
        right, down = SQUARE[scene.shift % 4]
        self._shift = (step * right, step * down)
        kept = {id(stand.group): stand.group for stand in self._groups.stands(now)}
        self._prepared = {key: self._prepared.get(key) or self._prepare(group) for key, group in kept.items()}

    def slots(self) -> set[str]:
        """Return the slots whose frames are seen now."""
        return {
            part[0].slot
            for prepared in self._prepared.values()
            for part in prepared.parts
            if not isinstance(part, Sprite)
        }

    def wants_frame_at(self, now: float) -> float:
        """Return when it changes by itself next."""
        return now if self._groups.moving(now) else self._line.wants_frame_at(now)

    def draw(self, now: float) -> None:
        """Draw one frame, not yet presented."""
        self.canvas.clear("ink")
        stands = self._groups.stands(now)
        above = [stand for stand in stands if stand.group.key != "bar"]
        for stand in above:
            self._draw(stand)
        bars = [stand for stand in stands if stand.group.key == "bar"]
        for stand in bars:
            self._draw(stand)
        if not self._dark:
            line = paint(
                self._line.light(now), self._line.pose(now), self.scale, self.wall.width, touch=self.wall.touch
            )
            for item in line:
                for sprite in self.scale.sprites(item):
                    self.canvas.sprite(sprite, self._shifted(sprite.box), sprite.alpha)

    def _prepare(self, group: Group) -> _Prepared:
        parts: list[Sprite | tuple[Picture, tuple[Sprite, ...]]] = []
        for item in group.items:
            if isinstance(item, Picture):
                waiting = tuple(sprite for still in item.otherwise for sprite in self.scale.sprites(still))
                parts.append((item, waiting))
            else:
                parts += self.scale.sprites(item)
        return _Prepared(group, tuple(parts))

    def _draw(self, stand: Stand) -> None:
        prepared = self._prepared.get(id(stand.group))
        if prepared is None or stand.alpha <= 0:
            return
        for part in prepared.parts:
            if isinstance(part, Sprite):
                self.canvas.sprite(part, self._moved(part.box, stand), part.alpha * stand.alpha)
                continue
            picture, waiting = part
            if self.canvas.has_video(picture.slot):
                self._draw_picture(picture, stand)
            else:
                for sprite in waiting:
                    self.canvas.sprite(sprite, self._moved(sprite.box, stand), sprite.alpha * stand.alpha)

    def _draw_picture(self, picture: Picture, stand: Stand) -> None:
        video = self.canvas.video(picture.slot)
        home = self.scale.box(*picture.place)
        to = self._moved(home, stand)
        source = crop(video.size, (to.w, to.h), picture.bias)
        if picture.framed:
            # Three strips leave out the corners, which would look out from under the round frame.
            inset = max(1, round(0.3 * picture.r * self.scale.u))
            for part, onto in strips(source, to, inset):
                video.copy(part, onto, mirrored=picture.mirrored, alpha=stand.alpha)
        else:
            video.copy(source, to, mirrored=picture.mirrored, alpha=stand.alpha)
        if picture.r > 0:
            mask = self._mask(home, picture)
            self.canvas.sprite(mask, self._moved(mask.box, stand), 1.0)

    def _mask(self, home: Box, picture: Picture) -> Sprite:
        r = picture.r * self.scale.u
        if not picture.framed:
            return Sprite(("corners", home.w, home.h, r), home, 1.0, lambda: shapes.corner_mask(home.w, home.h, r))
        frame = max(1, round(FRAME * self.scale.u))
        box = Box(home.x - frame, home.y - frame, home.w + 2 * frame, home.h + 2 * frame)
        return Sprite(("frame", home.w, home.h, r), box, 1.0, lambda: shapes.frame_mask(home.w, home.h, r, frame))

    def _moved(self, box: Box, stand: Stand) -> Box:
        """Return where a box of the group stands while the group is on its way."""
        home, place = stand.group.place, stand.place
        if place == home:
            return self._shifted(box)
        u, sx, sy = self.scale.u, place.w / home.w, place.h / home.h
        x, y = place.x * u + (box.x - home.x * u) * sx, place.y * u + (box.y - home.y * u) * sy
        moved = Box(round(x), round(y), max(1, round(box.w * sx)), max(1, round(box.h * sy)))
        return self._shifted(moved)

    def _shifted(self, box: Box) -> Box:
        """Move by the shift; what reaches an edge of the screen goes on reaching it."""
        dx, dy = self._shift
        if (dx, dy) == (0, 0):
            return box
        left = box.x if box.x <= 0 else box.x + dx
        top = box.y if box.y <= 0 else box.y + dy
        return Box(left, top, box.w + dx - (left - box.x), box.h + dy - (top - box.y))


def crop(size: tuple[int, int], onto: tuple[int, int], bias: float) -> Box:
    """Return the largest part of a frame with the shape of its place.

    Args:
        bias: which part of the height that is cut off is cut off above, 0..1; the width is cut alike on both sides.
    """
    width, height = size
    w = max(1, min(width, round(height * onto[0] / onto[1])))
    h = max(1, min(height, round(width * onto[1] / onto[0])))
    return Box((width - w) // 2, round((height - h) * bias), w, h)


def strips(source: Box, to: Box, inset: int) -> list[tuple[Box, Box]]:
    """Cut a picture into top, middle and bottom, the outer two shorter by `inset` px on each side."""
    sx, sy = source.w / to.w, source.h / to.h
    ix, iy = max(1, round(inset * sx)), max(1, round(inset * sy))
    return [
        (Box(source.x + ix, source.y, source.w - 2 * ix, iy), Box(to.x + inset, to.y, to.w - 2 * inset, inset)),
        (Box(source.x, source.y + iy, source.w, source.h - 2 * iy), Box(to.x, to.y + inset, to.w, to.h - 2 * inset)),
        (
            Box(source.x + ix, source.y + source.h - iy, source.w - 2 * ix, iy),
            Box(to.x + inset, to.y + to.h - inset, to.w - 2 * inset, inset),
        ),
    ]
