"""Making text fit its place: smaller, on more lines, and last with an ellipsis. Widths in u."""

from collections.abc import Callable, Sequence

from .look import Role
from .textures import Scale
from .type import ELLIPSIS


def shorten(scale: Scale, text: str, role: Role, room: float, size: float | None = None) -> str:
    """Return the text, cut at its end where it is wider than `room`."""
    if scale.width(text, role, size) <= room:
        return text

    def cut(length: int) -> str:
        return text[:length].rstrip() + ELLIPSIS

    return cut(_most(len(text) - 1, lambda length: scale.width(cut(length), role, size) <= room)).strip()


def _most(limit: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number up to `limit` that fits, 0 where none does; more never fits better."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def shorten_name(scale: Scale, name: str, role: Role, room: float, size: float | None = None) -> str:
    """Return the name, cut in the middle of the family name where it is too wide; never in the given name."""
    if scale.width(name, role, size) <= room:
        return name
    given, space, family = name.rpartition(" ")
    if not space:
        return shorten(scale, name, role, room, size)

    def cut(kept: int) -> str:
        head, tail = (kept + 1) // 2, kept // 2
        return f"{given} {family[:head]}{ELLIPSIS}{family[len(family) - tail :]}"

    kept = _most(len(family) - 1, lambda kept: scale.width(cut(kept), role, size) <= room)
    return cut(kept) if kept > 1 else shorten(scale, f"{given} {family[:1]}{ELLIPSIS}", role, room, size)


def wrap(scale: Scale, text: str, role: Role, room: float, size: float | None = None) -> list[str]:
    """Break at spaces into as few lines as fit; a word that is too wide stays too wide."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and scale.width(longer, role, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def largest(
    scale: Scale, text: str, role: Role, room: float, sizes: Sequence[float], most_lines: int = 1
) -> tuple[float, list[str]]:
    """Return the first size at which the text fits on so many lines, else the last one with an ellipsis."""
    for size in sizes:
        lines = wrap(scale, text, role, room, size)
        if len(lines) <= most_lines and all(scale.width(line, role, size) <= room for line in lines):
            return size, lines
    size = sizes[-1]
    lines = wrap(scale, text, role, room, size)
    kept = [*lines[: most_lines - 1], " ".join(lines[most_lines - 1 :])]
    return size, [shorten(scale, line, role, room, size) for line in kept]
