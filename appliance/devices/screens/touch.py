"""The touch panel: the same scenes at arm's length, with keys below the Line. Numbers: geometry.md, second table."""

from .base import Scene
from .items import Group
from .textures import Scale


def compose(scene: Scene, scale: Scale, width: float) -> list[Group]:
    raise NotImplementedError
