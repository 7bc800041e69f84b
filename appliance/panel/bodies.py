"""Request bodies into arguments of commands: every key named, every value checked. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from appliance.panel.problems import Problem
from appliance.surfaces.control_messages import MAX_DEPTH, nesting

MAX_NAME = 128
"""Characters of a room name or identity (rest.md 5)."""


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body; an empty body is an empty object. Raise Problem `invalid_request`."""
    if not body.strip():
        return {}
    if nesting(body) > MAX_DEPTH:
        raise Problem("invalid_request", f"The body is nested more than {MAX_DEPTH} levels deep.")
    try:
        value = json.loads(body)
    except ValueError as error:  # also what is not UTF-8
        raise Problem("invalid_request", f"The body is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise Problem("invalid_request", "The body has to be a JSON object.")
    return value


def _only(body: Mapping[str, Any], *known: str) -> None:
    for key in body:
        if key not in known:
            raise Problem("invalid_request", f"{key!r} is not known here; known are {', '.join(known)}.", field=key)


def _flag(body: Mapping[str, Any], key: str) -> bool:
    value = body.get(key)
    if not isinstance(value, bool):
        raise Problem("invalid_request", f"{key!r} has to be true or false.", field=key)
    return value


def _name(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME or not value.isprintable():
        raise Problem("invalid_request", f"{key!r} has to be text of 1 to {MAX_NAME} printable characters.", field=key)
    return value


def nothing(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read the body of a command that takes no arguments."""
    for key in body:
        raise Problem("invalid_request", f"{key!r} is not known here; this takes no arguments.", field=key)
    return {}


def join(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read `{"room"?, "identity"?, "token"?, "mic"?, "camera"?, "switch"?}` (kiosk.md 9)."""
    _only(body, "room", "identity", "token", "mic", "camera", "switch")
    arguments: dict[str, Any] = {key: _name(body, key) for key in ("room", "identity") if key in body}
    if "token" in body:
        if not isinstance(body["token"], str) or not body["token"]:
            raise Problem("invalid_request", "'token' has to be text.", field="token")
        arguments["token"] = body["token"]
    for key in ("mic", "camera", "switch"):
        if key in body:
            arguments[key] = _flag(body, key)
    return arguments


def microphone(body: Mapping[str, Any]) -> str:
    """Read `{"muted": bool}`; return the command's name."""
    _only(body, "muted")
    return "mic.mute" if _flag(body, "muted") else "mic.unmute"


def camera(body: Mapping[str, Any]) -> str:
    """Read `{"enabled": bool}`; return the command's name."""
    _only(body, "enabled")
    return "camera.on" if _flag(body, "enabled") else "camera.off"


def speaker(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read `{"volume"?: 0-100, "muted"?: bool}`, at least one of them."""
    _only(body, "volume", "muted")
    arguments: dict[str, Any] = {}
    if "volume" in body:
        volume = body["volume"]
        if isinstance(volume, bool) or not isinstance(volume, int) or not 0 <= volume <= 100:
            raise Problem("invalid_request", "'volume' has to be a whole number from 0 to 100.", field="volume")
        arguments["volume"] = volume
    if "muted" in body:
        arguments["muted"] = _flag(body, "muted")
    if not arguments:
        raise Problem("invalid_request", "Give 'volume', 'muted' or both.")
    return arguments


def front_panel(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read `{"button": "mute"|"leave", "action": "press"|"release"}`."""
    _only(body, "button", "action")
    for key, choices in (("button", ("mute", "leave")), ("action", ("press", "release"))):
        if body.get(key) not in choices:
            raise Problem("invalid_request", f"{key!r} has to be one of {', '.join(choices)}.", field=key)
    return {"button": body["button"], "action": body["action"]}
