"""The state document of kiosk.md 10, the same over control socket, HTTP and MQTT. Pure."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from appliance.clock import rfc3339, rfc3339_seconds
from appliance.kiosk import line
from appliance.kiosk.state import KioskState, RoomView, Speaker


def document(state: KioskState, now: datetime) -> dict[str, Any]:
    """Return the whole state as JSON-able values; `now` is when it was made."""
    return {
        "v": 1,
        "rev": state.rev,
        "ts": rfc3339(now),
        "device_id": state.device.id,
        "name": state.device.name,
        "state": str(state.phase),
        "since": rfc3339_seconds(state.since),
        "reason": state.reason,
        "detail": state.detail,
        "next": {"action": state.next.action, "at": rfc3339_seconds(state.next.at)} if state.next else None,
        "room": _room(state.room) if state.room else None,
        "mic": str(state.mic),
        "camera": str(state.camera),
        "mic_live": state.mic_live,
        "camera_live": state.camera_live,
        "speaker": {"state": _speaker(state.speaker), "volume": state.speaker.volume},
        "layout": {"mode": "auto", "self_view": "pip", "spotlight": state.room.spotlight if state.room else None},
        "display": state.display,
        "network": {"state": state.network},
        "mqtt": state.mqtt,
        "clock": state.clock,
        "dnd_until": None,
        "incoming": None,
        "quality": {"step": 0, "reason": None, "score": line.bars(state.quality)},
        "issues": [issue.code for issue in state.issues],
        "origin": str(state.origin),
        "people": people(state),
        "line": line.document(line.line(state, now)),
        "lamps": asdict(line.lamps(state)),
        "default_room": state.device.default_room,
        "guest": {"link": state.guest.link, "address": state.guest.address}
        if state.guest
        else {"link": None, "address": None},
        "front_panel": state.device.front_panel,
        "panel_url": state.device.panel_url,
        "locale": state.device.locale,
    }


def public_document(state: KioskState, now: datetime) -> dict[str, Any]:
    """Return the document without the invitation: whoever reads a broker's retained messages is not thereby a guest."""
    whole = document(state, now)
    whole["guest"] = {"link": None, "address": whole["guest"]["address"]}
    return whole


def people(state: KioskState) -> list[dict[str, Any]]:
    """Return who is in the room besides us, in order of arrival."""
    return [
        {
            "sid": person.sid,
            "name": person.name,
            "microphone": person.microphone,
            "camera": person.camera,
            "speaking": person.speaking,
            "link": line.bars(person.link),
        }
        for person in state.people
    ]


def _room(room: RoomView) -> dict[str, Any]:
    return {
        "name": room.name,
        "sid": room.sid or None,
        "participant_sid": room.participant_sid or None,
        "participants": len(room.people) + 1 if room.sid else 0,
        "dominant_speaker": room.dominant_speaker,
        "recording": room.recording,
    }


def _speaker(speaker: Speaker) -> str:
    return "absent" if speaker.absent else "muted" if speaker.muted else "on"
