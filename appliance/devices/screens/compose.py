"""From a scene to groups of things to stack: which module draws which scene."""

from . import call, standing, touch
from .bar import bar_items
from .base import (
    CallScene,
    DimScene,
    ErrorScene,
    IdleScene,
    JoiningScene,
    ReconnectingScene,
    Rect,
    RingingScene,
    Scene,
    SetupScene,
    StandbyScene,
    StartingScene,
    UpdatingScene,
    Wall,
)
from .items import Fill, Group, Still
from .textures import Scale


def compose(scene: Scene, scale: Scale, wall: Wall) -> list[Group]:
    """Return what a scene shows above and below the Line, back to front; the Line is painted on its own."""
    if wall.touch:
        return touch.compose(scene, scale, wall.width)
    groups = _above(scene, scale, wall.width)
    below: list[Still] = [Fill(Rect(0, 121, wall.width, 14), "ink")] if _has_full_picture(scene) else []
    if not isinstance(scene, DimScene | StandbyScene):
        below += bar_items(scene.bar, scene.line, scale, wall.width)
    return [*groups, Group("bar", Rect(0, 121, wall.width, 14), tuple(below))]


def _has_full_picture(scene: Scene) -> bool:
    return isinstance(scene, CallScene) and any(tile.look == "full" for tile in scene.tiles)


def _above(scene: Scene, scale: Scale, width: float) -> list[Group]:
    match scene:
        case CallScene():
            return call.call(scene, scale, width)
        case JoiningScene():
            return call.joining(scene, scale, width)
        case ReconnectingScene():
            return call.reconnecting(scene, scale, width)
        case StartingScene():
            items = standing.starting(scene, scale, width)
        case IdleScene():
            items = standing.idle(scene, scale, width)
        case RingingScene():
            items = standing.ringing(scene, scale, width)
        case ErrorScene():
            items = standing.error(scene, scale, width)
        case UpdatingScene():
            items = standing.updating(scene, scale, width)
        case SetupScene():
            items = standing.setup(scene, scale, width)
        case DimScene():
            items = standing.dim(scene, scale, width)
        case StandbyScene():
            items = standing.standby(scene, scale, width)
    return [Group("scene", Rect(0, 0, width, 121), tuple(items))]
