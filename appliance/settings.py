"""From TOML files to frozen dataclasses, with every problem told at once: file, line, key, value, rule, hint.

A settings class is a frozen dataclass whose fields are keys; a field that is itself such a class is a table. A field
without default must be set. Types: bool, int, float, str, Path, StrEnum, Literal, `tuple[X, …]`, `Mapping[str, X]`,
tables, and `X | None`; rules ride along in Annotated:

    @dataclass(frozen=True, slots=True, kw_only=True)
    class VideoSettings:
        fps: Annotated[int, Between(5, 30)] = 30

        def problems(self) -> Iterator[Problem]:      # optional: what no single key can tell
            if self.fps > 15 and self.saving:
                yield Problem("fps", "must be at most 15 while saving", "or set saving = false")

    settings = load_settings(KioskSettings, [Path("/etc/room-kiosk/kiosk.toml")])
"""

import dataclasses
import difflib
import json
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, TypeVar, Union

from appliance.errors import ConfigurationError

Settings = TypeVar("Settings")


class Rule(Protocol):
    """What a single value has to satisfy beyond its type; stands in Annotated."""

    def broken_by(self, value: Any) -> str | None:
        """Return what the value must be, e.g. "must be between 5 and 30", or None where it is fine."""


@dataclass(frozen=True, slots=True)
class Between:
    """A number from `least` to `most`, both included."""

    least: float
    most: float

    def broken_by(self, value: Any) -> str | None:
        return None if self.least <= value <= self.most else f"must be between {self.least} and {self.most}"


@dataclass(frozen=True, slots=True)
class Length:
    """A text or a list of `least` to `most` characters or entries."""

    least: int
    most: int

    def broken_by(self, value: Any) -> str | None:
        fine = self.least <= len(value) <= self.most
        what = "characters" if isinstance(value, str) else "entries"
        return None if fine else f"must have {self.least} to {self.most} {what}"


@dataclass(frozen=True, slots=True)
class Matches:
    """A text that a regular expression matches whole; `rule` says in words what that means."""

    pattern: str
    rule: str

    def broken_by(self, value: Any) -> str | None:
        return None if re.fullmatch(self.pattern, value) else self.rule


@dataclass(frozen=True, slots=True)
class Secret:
    """Mark a value that must never be printed."""

    def broken_by(self, value: Any) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with `key`, which is relative to the class whose `problems()` yields it."""

    key: str
    rule: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key was written: the file's name and a line from 1."""

    file: str
    line: int


def load_settings(kind: type[Settings], paths: Iterable[Path], *, context: str = "") -> Settings:
    """Read the files in turn, later ones winning key by key, and return the settings; no file at all gives defaults.

    Args:
        context: what to name where a required key is missing; the first file's name unless given.

    Raises:
        ConfigurationError: with all problems of all files.
    """
    texts: list[tuple[str, str]] = []
    problems: list[str] = []
    for path in paths:
        try:
            texts.append((path.name, path.read_text(encoding="utf-8")))
        except OSError as error:
            problems.append(f"{path}: cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            problems.append(f"{path}: not UTF-8 (byte {error.start})")
    if problems:
        raise ConfigurationError(problems)
    return parse_settings(kind, texts, context=context)


def parse_settings(kind: type[Settings], texts: Sequence[tuple[str, str]], *, context: str = "") -> Settings:
    """Do what `load_settings` does with (name, text) pairs that were read already."""
    merged: dict[str, Any] = {}
    places: dict[str, Place] = {}
    problems: list[str] = []
    for name, text in texts:
        try:
            tree = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            problems.append(_syntax_problem(name, str(error), text))
            continue
        _merge(merged, tree)
        places |= {key: Place(name, line) for key, line in key_lines(text).items()}
    if problems:
        raise ConfigurationError(problems)
    reader = _Reader(places, context or (texts[0][0] if texts else "settings"))
    settings = reader.table(kind, merged, "")
    if reader.problems:
        raise ConfigurationError([text for _, text in sorted(reader.problems, key=lambda problem: problem[0])])
    return typing.cast(Settings, settings)


def key_lines(text: str) -> dict[str, int]:
    """Return the line, from 1, at which each dotted key of a valid TOML text begins; tables at their header."""
    lines = text.splitlines()
    found: dict[str, int] = {}
    prefix, counts, at = "", dict[str, int](), 0
    while at < len(lines):
        # A statement ends where what was read so far parses by itself: values may run over several lines.
        for end in range(at + 1, len(lines) + 1):
            try:
                tree = tomllib.loads("\n".join(lines[at:end]))
            except tomllib.TOMLDecodeError:
                continue
            break
        else:
            return found
        head = lines[at].strip()
        if head.startswith("["):
            prefix = ".".join(_path_to_leaf(tree))
            if head.startswith("[["):
                counts[prefix] = counts.get(prefix, -1) + 1
                prefix = f"{prefix}[{counts[prefix]}]"
            found.setdefault(prefix, at + 1)
            prefix += "."
        else:
            for key in _all_keys(tree):
                found[prefix + key] = at + 1
        at = end
    return found


def _path_to_leaf(tree: Mapping[str, Any]) -> list[str]:
    """Return the keys of a header line, which parses to tables that hold one another."""
    path: list[str] = []
    node: Any = tree
    while node:
        if isinstance(node, list):
            node = node[0]
            continue
        key = next(iter(node))
        path.append(key)
        node = node[key]
    return path


def _all_keys(tree: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in tree.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _all_keys(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            for index, entry in enumerate(value):
                yield f"{prefix}{key}[{index}]"
                if isinstance(entry, dict):
                    yield from _all_keys(entry, f"{prefix}{key}[{index}].")


def _merge(into: dict[str, Any], tree: Mapping[str, Any]) -> None:
    for key, value in tree.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _syntax_problem(name: str, message: str, text: str) -> str:
    line = re.search(r"line (\d+)", message)
    number = int(line[1]) if line else text.count("\n") + 1
    return f"{name}:{number}: not valid TOML: {re.sub(r' ?[(]at .*[)]', '', message)}"


_INVALID = object()
_SECRET_NAME = re.compile(r"password|secret|token|credential")


class _Reader:
    """Walks a settings class beside a parsed tree and notes what does not fit."""

    def __init__(self, places: Mapping[str, Place], context: str) -> None:
        self._places = places
        self._context = context
        self.problems: list[tuple[tuple[str, int], str]] = []

    def table(self, kind: type[Any], tree: Mapping[str, Any], prefix: str) -> Any:
        """Return an object of `kind`, or _INVALID with the problems noted."""
        hints = typing.get_type_hints(kind, include_extras=True)
        fields = {field.name: field for field in dataclasses.fields(kind)}
        fine = True
        for key in tree.keys() - fields.keys():
            self._unknown(prefix + key, prefix, fields)
            fine = False
        values: dict[str, Any] = {}
        for name, field in fields.items():
            values[name] = self._field(hints[name], field, tree, prefix)
            fine = fine and values[name] is not _INVALID
        if not fine:
            return _INVALID
        settings = kind(**values)
        noted = len(self.problems)
        for problem in settings.problems() if hasattr(settings, "problems") else ():
            self._note(prefix + problem.key, _value_at(tree, problem.key), problem.rule, problem.hint, hints)
        return settings if len(self.problems) == noted else _INVALID

    def _field(self, hint: Any, field: "dataclasses.Field[Any]", tree: Mapping[str, Any], prefix: str) -> Any:
        key = prefix + field.name
        if field.name in tree:
            return self._value(hint, tree[field.name], key)
        if field.default is not dataclasses.MISSING:
            return field.default
        if field.default_factory is not dataclasses.MISSING:
            return field.default_factory()
        place = self._places.get(prefix[:-1])
        self._add(place, f"{key}: must be set")
        return _INVALID

    def _value(self, hint: Any, value: Any, key: str) -> Any:
        origin = typing.get_origin(hint)
        if origin is Annotated:
            kind, *rules = typing.get_args(hint)
            return self._ruled(kind, rules, value, key)
        if origin in (Union, types.UnionType):
            (kind,) = [each for each in typing.get_args(hint) if each is not types.NoneType]
            return self._value(kind, value, key)
        if origin is tuple and isinstance(value, list):
            entries = [self._value(typing.get_args(hint)[0], each, f"{key}[{i}]") for i, each in enumerate(value)]
            return _INVALID if _INVALID in entries else tuple(entries)
        if origin in (dict, Mapping) and isinstance(value, dict):
            table = {name: self._value(typing.get_args(hint)[1], each, f"{key}.{name}") for name, each in value.items()}
            return _INVALID if _INVALID in table.values() else table
        if dataclasses.is_dataclass(hint) and isinstance(value, dict):
            return self.table(typing.cast(type[Any], hint), value, key + ".")
        read = _scalar(hint, value)
        if read is _INVALID:
            self._note(key, value, f"must be {_in_words(hint)}", _nearest(str(value), _choices(hint)))
        return read

    def _ruled(self, kind: Any, rules: Sequence[Any], value: Any, key: str) -> Any:
        read = self._value(kind, value, key)
        if read is _INVALID:
            return read
        for rule in rules:
            broken = rule.broken_by(read)
            if broken:
                self._note(key, value, broken, hints={key: rules})
                return _INVALID
        return read

    def _unknown(self, key: str, prefix: str, fields: Iterable[str]) -> None:
        near = _nearest(key.removeprefix(prefix), fields)
        hint = f"; did you mean {prefix}{near.removeprefix('did you mean ').rstrip('?')}?" if near else ""
        self._add(self._places.get(key), f"{key}: unknown key{hint}")

    def _note(self, key: str, value: Any, rule: str, hint: str = "", hints: Mapping[str, Any] | None = None) -> None:
        secret = _SECRET_NAME.search(key.rpartition(".")[2]) and not key.endswith("_file")
        marked = any(isinstance(rule, Secret) for each in (hints or {}).values() for rule in _rules_of(each))
        shown = "" if value is None or secret or marked else f" = {_shown(value)}"
        self._add(self._places.get(key), f"{key}{shown}: {rule}{f' ({hint})' if hint else ''}")

    def _add(self, place: Place | None, text: str) -> None:
        where = f"{place.file}:{place.line}" if place else self._context
        self.problems.append(((place.file, place.line) if place else ("", 0), f"{where}: {text}"))


def _rules_of(hint: Any) -> Sequence[Any]:
    return hint if isinstance(hint, list) else typing.get_args(hint)[1:] if typing.get_origin(hint) is Annotated else ()


def _value_at(tree: Mapping[str, Any], key: str) -> Any:
    node: Any = tree
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node


def _scalar(hint: Any, value: Any) -> Any:
    """Return the value as the type wants it, or _INVALID. A bool is no int; an int is a float."""
    if typing.get_origin(hint) is Literal:
        return value if any(value == each and type(value) is type(each) for each in typing.get_args(hint)) else _INVALID
    if not isinstance(hint, type):
        return _INVALID
    if issubclass(hint, Enum):
        return next((member for member in hint if member.value == value), _INVALID)
    if issubclass(hint, Path):
        return hint(value) if isinstance(value, str) and value else _INVALID
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    return value if type(value) is hint else _INVALID


def _choices(hint: Any) -> list[str]:
    if typing.get_origin(hint) is Literal:
        return [str(each) for each in typing.get_args(hint)]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return [str(member.value) for member in hint]
    return []


def _in_words(hint: Any) -> str:
    choices = _choices(hint)
    if choices:
        return "one of " + ", ".join(choices)
    if typing.get_origin(hint) is tuple:
        return "a list"
    if dataclasses.is_dataclass(hint) or typing.get_origin(hint) in (dict, Mapping):
        return "a table"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}
    return names.get(hint, str(hint))


def _nearest(word: str, choices: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(choices), 1)
    return f"did you mean {near[0]}?" if near else ""


def _shown(value: Any) -> str:
    """Return a value as it may be printed: addresses without what comes after the scheme, which may hold a password."""
    if isinstance(value, str):
        scheme, address, _ = value.partition("://")
        return json.dumps(f"{scheme}://..." if address else value[:80], ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict)):
        return "[...]" if isinstance(value, list) else "{...}"
    return str(value)
