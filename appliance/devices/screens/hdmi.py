"""A real screen: by KMSDRM on the bare display, by Wayland or X11 on a desktop."""

from .drawing import DrawThread


class HdmiScreen(DrawThread):
    """Satisfies Screen. Frames are drawn as they come, at most 30 a second (look/README.md 5)."""

    def __init__(self, driver: str | None = None, *, reduced_motion: bool = False) -> None:
        """Prepare, opening nothing.

        Args:
            driver: kmsdrm, wayland, x11; None takes the desktop's, or KMSDRM without one.
            reduced_motion: for people who ask for it, and for boards of class `small`.
        """
        super().__init__(driver, rate_hz=30.0, reduced_motion=reduced_motion)
