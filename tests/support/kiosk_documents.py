"""State documents of a kiosk (kiosk.md 10 and the parts the panel draws), as the panel receives them."""

from typing import Any

REST: dict[str, Any] = {"kind": "rest", "part": 0.0}
CONNECTED: dict[str, Any] = {"kind": "connected", "part": 1.0}
MUTED_PILL: dict[str, Any] = {"icon": "mic-off", "word_key": "mic.muted", "tone": "muted", "word": "Muted"}


def line(**changes: Any) -> dict[str, Any]:
    """Return a Line at rest, with changes."""
    at_rest = {
        "left_lit": False,
        "right": REST,
        "cut": None,
        "left_pill": None,
        "right_pill": None,
        "pulse": "none",
        "sentence_key": "line.idle",
    }
    return at_rest | changes


def idle(**changes: Any) -> dict[str, Any]:
    """Return the document of a kiosk that waits, camera and microphone closed."""
    document: dict[str, Any] = {
        "v": 1,
        "rev": 1,
        "ts": "2026-03-01T13:32:03.512Z",
        "device_id": "harbour",
        "name": "Harbour",
        "state": "idle",
        "since": "2026-03-01T13:14:03Z",
        "reason": "started",
        "detail": None,
        "next": None,
        "room": None,
        "mic": "muted",
        "camera": "off",
        "mic_live": False,
        "camera_live": False,
        "speaker": {"state": "on", "volume": 60},
        "layout": {"mode": "auto", "self_view": "pip"},
        "display": "on",
        "network": {"state": "online", "interface": "eth0", "kind": "ethernet"},
        "mqtt": "connected",
        "clock": "synced",
        "dnd_until": None,
        "incoming": None,
        "quality": {"step": 0, "reason": None, "score": 4},
        "issues": [],
        "origin": "system",
        "people": [],
        "line": line(),
        "lamps": {"mute": "off", "live": "off", "status": "off"},
        "default_room": "Harbour",
        "guest": {
            "link": "https://rooms.example:8443/join/harbour#v1.aW52aXRhdGlvbg",
            "address": "rooms.example/join/harbour",
        },
        "front_panel": "virtual",
        "panel_url": "http://127.0.0.1:8090/",
        "locale": "en",
    }
    return document | changes


PEOPLE: list[dict[str, Any]] = [
    {"sid": "PA1", "name": "Amara Okafor", "microphone": "on", "camera": "on", "speaking": False},
    {"sid": "PA2", "name": "Jonas Weber", "microphone": "on", "camera": "on", "speaking": True},
    {"sid": "PA3", "name": "林 美玲", "microphone": "on", "camera": "on", "speaking": False},
    {"sid": "PA4", "name": "ليلى حداد", "microphone": "off", "camera": "off", "speaking": False},
]


def in_room(**changes: Any) -> dict[str, Any]:
    """Return the document of a kiosk that is seen and heard in a room with four others."""
    document = idle(
        rev=7,
        state="in_room",
        reason="joined",
        room={
            "name": "Harbour",
            "sid": "RM1",
            "participant_sid": "PA0",
            "participants": 5,
            "dominant_speaker": "PA2",
            "recording": False,
        },
        mic="live",
        camera="live",
        mic_live=True,
        camera_live=True,
        people=PEOPLE,
        line=line(left_lit=True, right=CONNECTED, sentence_key="line.in_room"),
        lamps={"mute": "off", "live": "solid", "status": "solid"},
        origin="page",
    )
    return document | changes


def muted(**changes: Any) -> dict[str, Any]:
    """Return the document of a kiosk in a room, muted by its button."""
    document = in_room(
        rev=8,
        mic="muted",
        origin="button",
        line=line(left_lit=True, right=CONNECTED, cut=MUTED_PILL, sentence_key="line.muted"),
        lamps={"mute": "solid", "live": "solid", "status": "solid"},
    )
    return document | changes
