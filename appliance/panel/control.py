"""The routes: what a finger on the page asks, handed to the kiosk; what the kiosk says, handed to the page."""

import io
import ipaddress
from http import HTTPStatus
from typing import Any

import segno
from flask import Blueprint, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue

from appliance.panel import bodies
from appliance.panel.kiosk import Kiosk, Snapshot, etag
from appliance.panel.problems import Problem

control = Blueprint("control", __name__)

READY_STATES = frozenset({"idle", "joining", "in_room", "reconnecting", "leaving"})
"""States in which the kiosk does its work or could begin to: `idle` or better (kiosk.md 9)."""


def _kiosk() -> Kiosk:
    kiosk: Kiosk = current_app.extensions["kiosk"]
    return kiosk


def _body() -> dict[str, Any]:
    return bodies.parse(request.get_data(cache=False))


def _hand_in(name: str, arguments: dict[str, Any]) -> ResponseReturnValue:
    """Accept the command; the page learns the outcome from the stream, or from `/api/v1/commands/…`."""
    return _kiosk().command(name, arguments), HTTPStatus.ACCEPTED


def _known_state() -> Snapshot:
    snapshot = _kiosk().snapshot()
    if snapshot.state is None or not snapshot.answering:
        raise Problem("unavailable", "The kiosk does not answer. The panel goes on trying.", retry_after_s=2)
    return snapshot


@control.get("/healthz")
def healthz() -> ResponseReturnValue:
    if _kiosk().snapshot().answering:
        return {"status": "ok"}
    return {"status": "unavailable"}, HTTPStatus.SERVICE_UNAVAILABLE


@control.get("/readyz")
def readyz() -> ResponseReturnValue:
    snapshot = _kiosk().snapshot()
    state = snapshot.state.get("state") if snapshot.state and snapshot.answering else None
    status = HTTPStatus.OK if state in READY_STATES else HTTPStatus.SERVICE_UNAVAILABLE
    return {"status": "ok" if status is HTTPStatus.OK else "unavailable", "state": state}, status


@control.get("/api/v1/state")
def state() -> ResponseReturnValue:
    document = _known_state().state
    assert document is not None  # _known_state refuses otherwise
    response = jsonify(document)
    response.set_etag(etag(document))
    return response.make_conditional(request)


@control.get("/api/v1/room/participants")
def participants() -> ResponseReturnValue:
    return _kiosk().get("participants")


@control.get("/api/v1/commands/<command_id>")
def outcome(command_id: str) -> ResponseReturnValue:
    for known in reversed(_kiosk().snapshot().outcomes):
        if known.command_id == command_id:
            return dict(known.document)
    raise Problem("not_found", "No outcome of this command is known: it has not ended, or was long ago.")


@control.post("/api/v1/room/join")
def join() -> ResponseReturnValue:
    return _hand_in("room.join", bodies.join(_body()))


@control.post("/api/v1/room/leave")
def leave() -> ResponseReturnValue:
    return _hand_in("room.leave", bodies.nothing(_body()))


@control.put("/api/v1/mic")
def set_microphone() -> ResponseReturnValue:
    return _hand_in(bodies.microphone(_body()), {})


@control.put("/api/v1/camera")
def set_camera() -> ResponseReturnValue:
    return _hand_in(bodies.camera(_body()), {})


@control.put("/api/v1/speaker")
def set_speaker() -> ResponseReturnValue:
    return _hand_in("speaker.set", bodies.speaker(_body()))


@control.post("/api/v1/front-panel")
def press() -> ResponseReturnValue:
    """Press or release a drawn button; refused where the kiosk has real ones."""
    return _hand_in("front_panel.press", bodies.front_panel(_body()))


@control.get("/screen.png")
def screen() -> ResponseReturnValue:
    """What the kiosk's screen shows now, for whoever sits at this machine.

    People's pictures are in it, so it stays with loopback until there is a sign-in to ask for (kiosk.md 9, 19).
    """
    if not _from_this_machine():
        raise Problem("forbidden", "The picture of the screen is only for this machine.")
    return Response(_kiosk().picture(), mimetype="image/png", headers={"Cache-Control": "no-store"})


@control.get("/invitation.svg")
def invitation() -> ResponseReturnValue:
    """The invitation to the guest page as QR code, level M like the screen's; the page gives the ground."""
    state = _known_state().state or {}
    guest = state.get("guest")
    link = guest.get("link") if isinstance(guest, dict) else None
    if not isinstance(link, str):
        raise Problem("not_found", "There is no invitation: the kiosk knows no room that guests may join.")
    out = io.BytesIO()
    segno.make(link, error="m", micro=False).save(
        out, kind="svg", border=0, dark="#0C0F0E", omitsize=True, svgclass=None, lineclass=None
    )
    return Response(out.getvalue(), mimetype="image/svg+xml", headers={"Cache-Control": "no-store"})


def _from_this_machine() -> bool:
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
