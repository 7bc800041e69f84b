"""Typed reads from JSON. Pure.

Every function raises RemoteProtocolError with a message that begins with the path of the key, such as
`participant.tracks[2].kind: must be one of audio, video, data`. Unknown keys are nobody's business.
"""

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar, overload

from appliance.errors import RemoteProtocolError

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

Json = Mapping[str, Any]

LARGEST_INTEGER = 2**53 - 1
"""Beyond it JavaScript no longer counts in ones (ECMA-262, Number.MAX_SAFE_INTEGER)."""

_SHOWN_CHARACTERS = 40


def object_from_text(text: str) -> Json:
    """Return the JSON object that `text` holds.

    Raises:
        RemoteProtocolError: not JSON, not an object, or nested so deep that it is an attack.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RemoteProtocolError(f"frame: not JSON ({type(error).__name__})") from None
    return as_object("frame", value)


def text_from_object(data: Json) -> str:
    """Return compact JSON in ASCII, so that no character can break a frame."""
    return json.dumps(data, separators=(",", ":"), allow_nan=False)


def as_object(key: str, value: object) -> Json:
    """Return `value` if it is an object with text keys; `key` names it in the error."""
    if not isinstance(value, Mapping):
        raise _must_be(key, "an object", value)
    return value


def _must_be(key: str, what: str, value: object) -> RemoteProtocolError:
    return RemoteProtocolError(f"{key}: must be {what}, not {_kind_of(value)}")


def _kind_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case Mapping():
            return "an object"
        case _:
            return "an array"


def _shown(value: str) -> str:
    return ascii(value[:_SHOWN_CHARACTERS])


def _required(data: Json, key: str) -> Any:
    if key not in data:
        raise RemoteProtocolError(f"{key}: missing")
    return data[key]


def _as_text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise _must_be(key, "text", value)
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in _beyond_ascii(value)):
        # Neither can be stored or sent on: databases refuse NUL, UTF-8 has no surrogates (RFC 3629, 3).
        raise RemoteProtocolError(f"{key}: holds a character that is no text")
    return value


def _beyond_ascii(value: str) -> str:
    return "" if value.isascii() else value


def text(data: Json, key: str) -> str:
    """Return the required text at `key`; it may be empty."""
    return _as_text(key, _required(data, key))


def optional_text(data: Json, key: str) -> str | None:
    """Return the text at `key`, None where it is absent or null."""
    value = data.get(key)
    return None if value is None else _as_text(key, value)


def texts(data: Json, key: str) -> tuple[str, ...]:
    """Return the array of texts at `key`, empty where it is absent or null."""
    return tuple(_as_text(f"{key}[{index}]", value) for index, value in enumerate(_array(data, key)))


def _as_number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _must_be(key, "a number", value)
    if not abs(value) <= LARGEST_INTEGER:  # so that NaN is out of range as well
        raise RemoteProtocolError(f"{key}: out of range")
    return value


def number(data: Json, key: str) -> float:
    """Return the required finite number at `key`."""
    return _as_number(key, _required(data, key))


def optional_number(data: Json, key: str) -> float | None:
    """Return the finite number at `key`, None where it is absent or null."""
    value = data.get(key)
    return None if value is None else _as_number(key, value)


def _as_integer(key: str, value: object, least: int) -> int:
    found = _as_number(key, value)
    if found != int(found):
        raise RemoteProtocolError(f"{key}: must be a whole number")
    if found < least:
        raise RemoteProtocolError(f"{key}: must be at least {least}")
    return int(found)


def integer(data: Json, key: str, *, least: int = 0) -> int:
    """Return the required whole number at `key`, `least` to 2^53 - 1."""
    return _as_integer(key, _required(data, key), least)


def optional_integer(data: Json, key: str, *, least: int = 0) -> int | None:
    """Return the whole number at `key`, None where it is absent or null."""
    value = data.get(key)
    return None if value is None else _as_integer(key, value, least)


def flag(data: Json, key: str, *, default: bool | None = None) -> bool:
    """Return the boolean at `key`; without a default it is required."""
    value = data.get(key, default) if default is not None else _required(data, key)
    if not isinstance(value, bool):
        raise _must_be(key, "a boolean", value)
    return value


def optional_flag(data: Json, key: str) -> bool | None:
    """Return the boolean at `key`, None where it is absent or null."""
    return None if data.get(key) is None else flag(data, key)


@overload
def choice(data: Json, key: str, kind: type[E]) -> E: ...
@overload
def choice(data: Json, key: str, kind: type[E], *, default: E) -> E: ...
def choice(data: Json, key: str, kind: type[E], *, default: E | None = None) -> E:
    """Return the member of `kind` that the text at `key` names; without a default it is required."""
    if default is not None and data.get(key) is None:
        return default
    return _as_choice(key, _required(data, key), kind)


def optional_choice(data: Json, key: str, kind: type[E]) -> E | None:
    """Return the member of `kind` at `key`, None where it is absent or null."""
    value = data.get(key)
    return None if value is None else _as_choice(key, value, kind)


def _as_choice(key: str, value: object, kind: type[E]) -> E:
    name = _as_text(key, value)
    try:
        return kind(name)
    except ValueError:
        expected = ", ".join(kind)
        raise RemoteProtocolError(f"{key}: must be one of {expected}, not {_shown(name)}") from None


def _array(data: Json, key: str) -> list[Any]:
    value = data.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _must_be(key, "an array", value)
    return value


def within(path: str, read: Callable[[], T]) -> T:
    """Return what `read` returns; errors get `path` put before the key that they name."""
    try:
        return read()
    except RemoteProtocolError as error:
        raise RemoteProtocolError(f"{path}.{error}") from None


def part(data: Json, key: str, read: Callable[[Json], T]) -> T:
    """Return `read` of the required object at `key`."""
    value = as_object(key, _required(data, key))
    return within(key, lambda: read(value))


def optional_part(data: Json, key: str, read: Callable[[Json], T]) -> T | None:
    """Return `read` of the object at `key`, None where it is absent or null."""
    return None if data.get(key) is None else part(data, key, read)


def parts(data: Json, key: str, read: Callable[[Json], T]) -> tuple[T, ...]:
    """Return `read` of every object in the array at `key`, empty where it is absent or null."""
    return tuple(_element(f"{key}[{index}]", value, read) for index, value in enumerate(_array(data, key)))


def required_parts(data: Json, key: str, read: Callable[[Json], T]) -> tuple[T, ...]:
    """Return `read` of every object in the required array at `key`."""
    _required(data, key)
    return parts(data, key, read)


def optional_parts(data: Json, key: str, read: Callable[[Json], T]) -> tuple[T, ...] | None:
    """Return `read` of every object in the array at `key`, None where it is absent or null."""
    return None if data.get(key) is None else parts(data, key, read)


def _element(path: str, value: object, read: Callable[[Json], T]) -> T:
    entry = as_object(path, value)
    return within(path, lambda: read(entry))


def without_none(data: Json) -> dict[str, Any]:
    """Return the entries that have a value: on the wire an absent key says "no change"."""
    return {key: value for key, value in data.items() if value is not None}
