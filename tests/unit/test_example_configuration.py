"""The shipped configuration files name every key, with its true default."""

import dataclasses
import re
import typing
from pathlib import Path
from typing import Any

import pytest

from appliance.kiosk.settings import KioskSettings
from appliance.rooms.settings import RoomsSettings
from appliance.settings import load_settings

FOLDER = Path(__file__).parents[2] / "provisioning" / "config"
FILES = [("kiosk.toml", KioskSettings), ("rooms.toml", RoomsSettings)]


def keys_of(settings: type[Any], table: str = "") -> set[str]:
    """Return the dotted names of all keys."""
    found = set()
    kinds = typing.get_type_hints(settings)
    for field in dataclasses.fields(settings):
        name = f"{table}{field.name}"
        kind = kinds[field.name]
        if dataclasses.is_dataclass(kind) and field.name not in {"local_media", "remote_media"}:
            found |= keys_of(kind, f"{name}.")
        else:
            found.add(name)
    return found


def keys_in(text: str) -> set[str]:
    table, found = "", set()
    for line in text.splitlines():
        if heading := re.match(r"\[([\w.]+)\]", line):
            table = heading[1] + "."
        elif key := re.match(r"#?(\w+) = ", line):
            found.add(table + key[1])
    return found


@pytest.mark.parametrize(("name", "settings"), FILES)
def test_the_file_as_shipped_is_valid(name: str, settings: type[Any]) -> None:
    assert load_settings(settings, [FOLDER / name])


@pytest.mark.parametrize(("name", "settings"), FILES)
def test_the_file_names_every_key_and_no_other(name: str, settings: type[Any]) -> None:
    assert keys_in((FOLDER / name).read_text()) == keys_of(settings)


@pytest.mark.parametrize(("name", "settings"), FILES)
def test_what_stands_behind_the_hash_is_the_default(name: str, settings: type[Any], tmp_path: Path) -> None:
    text = (FOLDER / name).read_text()
    shipped = load_settings(settings, [FOLDER / name])
    # Keys without a default show an example, which may need another key or file: those stay comments.
    optional = {key for key in keys_of(settings) if _value(shipped, key) is None}
    table, spoken = "", ""
    for line in text.splitlines():
        if heading := re.match(r"\[([\w.]+)\]", line):
            table = heading[1] + "."
        key = re.match(r"#(\w+) = ", line)
        spoken += (line[1:] if key and table + key[1] not in optional else line) + "\n"
    path = tmp_path / name
    path.write_text(spoken)

    assert load_settings(settings, [path]) == shipped


def _value(settings: Any, key: str) -> Any:
    for part in key.split("."):
        settings = getattr(settings, part)
    return settings
