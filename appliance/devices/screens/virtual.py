"""A screen that nobody stands before: the same drawing, into memory, for laptops, tests and the page's small wall."""

from .drawing import DrawThread


class VirtualScreen(DrawThread):
    """Satisfies Screen. Draws less often than a real one: only pictures of it are looked at."""

    def __init__(self, *, rate_hz: float = 5.0, reduced_motion: bool = True) -> None:
        super().__init__("dummy", rate_hz=rate_hz, reduced_motion=reduced_motion)
