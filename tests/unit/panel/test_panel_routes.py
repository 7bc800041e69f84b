"""The API over a kiosk in memory: each route, each refusal, the fences around them."""

from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from appliance.errors import CommandRefused
from appliance.panel.app import create_app
from appliance.panel.settings import MAX_BODY_BYTES, PanelSettings
from tests.support import kiosk_documents
from tests.support.fake_kiosk import PNG, KioskInMemory

PAGE = {"X-Room-Kiosk-Page": "1"}
PRESS = {"button": "mute", "action": "press"}


@pytest.fixture
def kiosk() -> KioskInMemory:
    return KioskInMemory()


@pytest.fixture
def client(kiosk: KioskInMemory) -> FlaskClient:
    return create_app(PanelSettings(socket_path=Path("unused")), kiosk).test_client()


@pytest.mark.parametrize(
    ("method", "path", "body", "command"),
    [
        ("POST", "room/join", {"room": "lobby"}, ("room.join", {"room": "lobby"})),
        ("POST", "room/join", {}, ("room.join", {})),
        ("PUT", "mic", {"muted": True}, ("mic.mute", {})),
        ("PUT", "camera", {"enabled": False}, ("camera.off", {})),
        ("PUT", "speaker", {"volume": 35}, ("speaker.set", {"volume": 35})),
        ("POST", "front-panel", PRESS, ("front_panel.press", PRESS)),
    ],
)
def test_a_request_becomes_one_command_and_is_accepted(
    client: FlaskClient, kiosk: KioskInMemory, method: str, path: str, body: dict[str, Any], command: tuple[str, Any]
) -> None:
    answer = client.open(f"/api/v1/{path}", method=method, json=body, headers=PAGE)

    assert answer.status_code == 202
    assert answer.json == {"command_id": "c1"}
    assert kiosk.commands == [command]
    assert client.get("/api/v1/commands/c1").json == {"command_id": "c1", "ok": True}


def test_leaving_needs_no_body(client: FlaskClient, kiosk: KioskInMemory) -> None:
    kiosk.become(kiosk_documents.in_room())

    assert client.post("/api/v1/room/leave", headers=PAGE).status_code == 202
    assert kiosk.commands == [("room.leave", {})]


def test_unmuting_from_afar_is_refused_with_the_kiosks_own_words(client: FlaskClient, kiosk: KioskInMemory) -> None:
    kiosk.become(kiosk_documents.muted())

    answer = client.put("/api/v1/mic", json={"muted": False}, headers=PAGE)

    assert answer.status_code == 403
    assert answer.mimetype == "application/problem+json"
    assert answer.json is not None
    assert answer.json["code"] == "policy_denied"
    assert answer.json["detail"] == "Only the room can unmute."
    assert len(answer.json["request_id"]) == 16


@pytest.mark.parametrize(
    ("code", "status"), [("invalid_state", 409), ("busy", 409), ("timeout", 504), ("something_new", 500)]
)
def test_a_refusal_of_the_kiosk_keeps_its_code(code: str, status: int) -> None:
    def refuse(*_: Any) -> dict[str, Any]:
        raise CommandRefused(code, "Not now.")

    client = create_app(PanelSettings(socket_path=Path("unused")), KioskInMemory(rule=refuse)).test_client()

    assert client.post("/api/v1/room/leave", headers=PAGE).status_code == status


def test_the_state_has_a_tag_that_saves_sending_it_again(client: FlaskClient, kiosk: KioskInMemory) -> None:
    first = client.get("/api/v1/state")
    again = client.get("/api/v1/state", headers={"If-None-Match": first.headers["ETag"]})
    kiosk.become(kiosk_documents.in_room())
    changed = client.get("/api/v1/state", headers={"If-None-Match": first.headers["ETag"]})

    assert first.json == kiosk_documents.idle()
    assert (again.status_code, again.data) == (304, b"")
    assert changed.json == kiosk_documents.in_room()


def test_the_tag_differs_after_a_restart_that_counts_from_the_same_revision(
    client: FlaskClient, kiosk: KioskInMemory
) -> None:
    tag = client.get("/api/v1/state").headers["ETag"]
    kiosk.become(kiosk_documents.idle(name="Another"))

    assert client.get("/api/v1/state", headers={"If-None-Match": tag}).status_code == 200


def test_participants_are_those_the_kiosk_names(client: FlaskClient, kiosk: KioskInMemory) -> None:
    kiosk.become(kiosk_documents.in_room())

    assert client.get("/api/v1/room/participants").json == {"participants": kiosk_documents.PEOPLE}


def test_health_and_readiness_follow_the_kiosk(client: FlaskClient, kiosk: KioskInMemory) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").status_code == 200

    kiosk.become(kiosk_documents.idle(state="error"))
    assert client.get("/healthz").status_code == 200
    assert (client.get("/readyz").status_code, client.get("/readyz").json) == (
        503,
        {"status": "unavailable", "state": "error"},
    )

    kiosk.fall_silent()
    assert client.get("/healthz").json == {"status": "unavailable"}
    assert client.get("/readyz").status_code == 503


def test_a_silent_kiosk_is_said_plainly(client: FlaskClient, kiosk: KioskInMemory) -> None:
    kiosk.fall_silent()

    for answer in (
        client.get("/api/v1/state"),
        client.get("/api/v1/room/participants"),
        client.get("/screen.png"),
        client.post("/api/v1/room/join", headers=PAGE),
    ):
        assert answer.status_code == 503
        assert answer.json is not None
        assert answer.json["code"] == "unavailable"
        assert "does not answer" in answer.json["detail"]
        assert answer.headers["Retry-After"] == "2"


def test_the_picture_of_the_screen_is_for_this_machine_alone(client: FlaskClient) -> None:
    assert client.get("/screen.png").data == PNG
    assert client.get("/screen.png", environ_base={"REMOTE_ADDR": "192.0.2.9"}).status_code == 403


def test_the_invitation_is_drawn_as_a_code_where_there_is_one(client: FlaskClient, kiosk: KioskInMemory) -> None:
    drawn = client.get("/invitation.svg")
    kiosk.become(kiosk_documents.idle(guest={"link": None, "address": None}))

    assert drawn.mimetype == "image/svg+xml"
    assert b"<svg" in drawn.data
    assert client.get("/invitation.svg").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "room/join"), ("POST", "room/leave"), ("PUT", "mic"), ("PUT", "camera"), ("POST", "front-panel")],
)
def test_nothing_is_changed_without_the_pages_header(
    client: FlaskClient, kiosk: KioskInMemory, method: str, path: str
) -> None:
    answer = client.open(f"/api/v1/{path}", method=method, json={})

    assert answer.status_code == 403
    assert answer.json is not None
    assert answer.json["code"] == "csrf"
    assert kiosk.commands == []


def test_an_unknown_host_gets_nothing_at_all(client: FlaskClient) -> None:
    for path in ("/", "/api/v1/state", "/js/main.js"):
        assert client.get(path, headers={"Host": "rebound.example"}).status_code == 403


def test_a_large_body_is_refused_unread(client: FlaskClient, kiosk: KioskInMemory) -> None:
    body = b'{"room": "' + b"x" * MAX_BODY_BYTES + b'"}'

    answer = client.post("/api/v1/room/join", data=body, content_type="application/json", headers=PAGE)

    assert answer.status_code == 413
    assert answer.json is not None
    assert answer.json["code"] == "too_large"
    assert kiosk.commands == []


def test_only_json_is_taken(client: FlaskClient, kiosk: KioskInMemory) -> None:
    form = client.post("/api/v1/room/join", data={"room": "lobby"}, headers=PAGE)
    broken = client.post("/api/v1/room/join", data=b"{", content_type="application/json", headers=PAGE)

    assert (form.status_code, broken.status_code) == (400, 400)
    assert kiosk.commands == []


def test_unknown_places_and_methods_are_problems_too(client: FlaskClient) -> None:
    missing, wrong = client.get("/api/v1/nothing"), client.get("/api/v1/mic")

    assert missing.json is not None
    assert (missing.status_code, missing.json["code"], missing.mimetype) == (
        404,
        "not_found",
        "application/problem+json",
    )
    assert (wrong.status_code, set(wrong.headers["Allow"].split(", "))) == (405, {"OPTIONS", "PUT"})


@pytest.mark.parametrize(
    "path", ["/js/../app.py", "/js/%2e%2e/index.html", "/css/../../pyproject.toml", "/index.html", "/icons.svg"]
)
def test_only_the_pages_own_folders_are_given_out(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_every_answer_is_fenced_in(client: FlaskClient) -> None:
    for answer in (client.get("/"), client.get("/api/v1/state"), client.get("/js/main.js"), client.get("/nothing")):
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "camera=()" in answer.headers["Permissions-Policy"]
        assert "Access-Control-Allow-Origin" not in answer.headers
        answer.close()


@pytest.mark.parametrize(
    ("accepts", "language"), [("de-AT,de;q=0.9", "de"), ("fr", "en"), ("", "en"), ("en-GB,de;q=0.3", "en")]
)
def test_the_page_speaks_the_readers_language(client: FlaskClient, accepts: str, language: str) -> None:
    page = client.get("/", headers={"Accept-Language": accepts})

    assert f'<html lang="{language}">' in page.text


def test_a_bug_is_answered_without_its_insides() -> None:
    def break_down(*_: Any) -> dict[str, Any]:
        raise ZeroDivisionError("secret insides")

    app = create_app(PanelSettings(socket_path=Path("unused")), KioskInMemory(rule=break_down))
    answer = app.test_client().post("/api/v1/room/leave", headers=PAGE)

    assert answer.status_code == 500
    assert "secret" not in answer.text
