"""Guest page, invitations and guests' tokens on loopback."""

import base64
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from yarl import URL

from appliance.errors import RoomError
from appliance.web_files import web_folder
from tests.support.manual_clock import ManualClock
from tests.support.rooms_running import Client, RunningRooms, running_rooms


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """The guest page with something in the place of the SDK, which npm brings."""
    page = tmp_path / "page"
    shutil.copytree(web_folder("guest"), page, ignore=shutil.ignore_patterns("node_modules", "vendor"))
    (page / "vendor").mkdir()
    (page / "vendor" / "twilio-video.min.js").write_text("// the SDK")
    (page / "node_modules" / "twilio-video").mkdir(parents=True)
    (page / "node_modules" / "twilio-video" / "index.js").write_text("// not ours to give out")
    return page


@pytest.fixture
async def running(tmp_path: Path, clock: ManualClock, page: Path) -> AsyncIterator[RunningRooms]:
    async with running_rooms(tmp_path, clock=clock, guest_folder=page) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def basic(running: RunningRooms) -> str:
    keys = running.credentials
    return "Basic " + base64.b64encode(f"{keys.api_key_sid}:{keys.api_key_secret}".encode()).decode()


async def post(
    http: aiohttp.ClientSession, running: RunningRooms, path: str, body: Any = None, authorization: str | None = None
) -> tuple[int, Any]:
    headers = {"Authorization": authorization} if authorization else {}
    sent = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
    async with http.post(URL(running.url + path, encoded=True), headers=headers, **sent) as answer:
        return answer.status, await answer.json()


async def invite(http: aiohttp.ClientSession, running: RunningRooms, room: str = "lobby", **more: Any) -> Any:
    status, answer = await post(http, running, f"/join/{room}/invitations", more or None, basic(running))
    assert status == 201
    return answer


async def ask(
    http: aiohttp.ClientSession, running: RunningRooms, invitation: Any, name: Any, room: str = "lobby"
) -> Any:
    return await post(http, running, f"/join/{room}/token", {"invitation": invitation, "name": name})


async def test_an_invitation_becomes_a_token_that_opens_its_room_only(
    running: RunningRooms, http: aiohttp.ClientSession
) -> None:
    invited = await invite(http, running)

    status, answer = await ask(http, running, invited["invitation"], "  Ann  ")

    assert (status, answer["identity"], answer["room"]) == (200, "Ann", "lobby")
    token = running.service.verify_token(answer["token"])
    assert (token.identity, token.room, token.guest) == ("Ann", "lobby", True)
    joined = await Client(running.service, answer["token"]).join("lobby")
    assert joined.room_name == "lobby"


async def test_the_link_is_an_https_address_that_a_phone_reaches_with_the_secret_after_the_hash(
    running: RunningRooms, http: aiohttp.ClientSession
) -> None:
    invited = await invite(http, running, "K%C3%BCche%201")

    address, _, secret = invited["link"].partition("#")
    assert address == invited["address"] == "https://192.168.1.7:8443/join/K%C3%BCche%201"
    assert (secret, invited["room"]) == (invited["invitation"], "Küche 1")


async def test_an_access_token_that_covers_the_room_may_invite(
    running: RunningRooms, http: aiohttp.ClientSession
) -> None:
    for grant, status in ((None, 201), ("lobby", 201), ("hall", 403)):
        token = running.token("hall-2", grant)
        got, _ = await post(http, running, "/join/lobby/invitations", authorization=f"Bearer {token}")
        assert got == status


@pytest.mark.parametrize(("identity", "code"), [("", 53200), ("x" * 129, 53201), ("a\tb", 53202)])
async def test_a_token_whose_identity_cannot_be_is_400_over_http(
    running: RunningRooms, http: aiohttp.ClientSession, identity: str, code: int
) -> None:
    key = running.credentials.signing_key
    claims = {
        "iss": key.sid,
        "sub": key.account_sid,
        "exp": int(running.clock.now().timestamp()) + 60,
        "grants": {"identity": identity, "video": {}},
    }
    token = jwt.encode(claims, key.secret, "HS256", headers={"cty": "twilio-fpa;v=1"})

    status, body = await post(http, running, "/join/lobby/invitations", authorization=f"Bearer {token}")

    assert (status, body["code"], set(body)) == (400, code, {"code", "message", "more_info", "status"})


async def test_a_guest_may_not_invite_further(running: RunningRooms, http: aiohttp.ClientSession) -> None:
    _, answer = await ask(http, running, (await invite(http, running))["invitation"], "Ann")

    status, body = await post(http, running, "/join/lobby/invitations", authorization=f"Bearer {answer['token']}")

    assert (status, body["code"]) == (403, 20106)


@pytest.mark.parametrize(
    ("authorization", "status", "code"),
    [(None, 401, 20003), ("Basic eDp5", 401, 20003), ("Bearer nonsense", 401, 20101), ("Bearer", 401, 20101)],
)
async def test_who_may_not_invite_is_told_so(
    running: RunningRooms, http: aiohttp.ClientSession, authorization: str | None, status: int, code: int
) -> None:
    got, body = await post(http, running, "/join/lobby/invitations", authorization=authorization)

    assert (got, body["code"], body["status"]) == (status, code, status)


@pytest.mark.parametrize("lifetime_s", [59, 604_801, "3600", 1.5, None, True])
async def test_a_lifetime_that_cannot_be_is_refused(
    running: RunningRooms, http: aiohttp.ClientSession, lifetime_s: Any
) -> None:
    body = {"lifetime_s": lifetime_s}

    status, answer = await post(http, running, "/join/lobby/invitations", body, basic(running))

    assert (status, answer["code"]) == (400, 20001)


async def test_an_invitation_expires(running: RunningRooms, http: aiohttp.ClientSession, clock: ManualClock) -> None:
    invited = await invite(http, running, lifetime_s=60)
    clock.advance(61)

    status, answer = await ask(http, running, invited["invitation"], "Ann")

    assert (status, answer["details"]["reason"]) == (410, "expired")


async def test_an_invitation_to_another_room_is_refused(running: RunningRooms, http: aiohttp.ClientSession) -> None:
    status, answer = await ask(http, running, (await invite(http, running))["invitation"], "Ann", room="hall")

    assert (status, answer["details"]["reason"]) == (403, "other_room")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (None, 403, 20403),
        (b"{", 400, 20001),
        (b"[]", 400, 20001),
        (b'{"invitation": "a", "invitation": "b"}', 400, 20001),
        (b"[" * 5000, 400, 20001),
        (b"x" * 9000, 413, 20413),
        ({"invitation": 7, "name": "Ann"}, 403, 20403),
        ({"invitation": "AAAA", "name": "Ann"}, 403, 20403),
    ],
)
async def test_a_request_that_cannot_be_used_says_why(
    running: RunningRooms, http: aiohttp.ClientSession, body: Any, status: int, code: int
) -> None:
    got, answer = await post(http, running, "/join/lobby/token", body)

    assert (got, answer["code"]) == (status, code)


@pytest.mark.parametrize(
    ("name", "code"), [(None, 53200), ("", 53200), ("  ", 53200), (7, 53200), ("x" * 65, 53200), ("a\tb", 53202)]
)
async def test_a_name_has_rules(running: RunningRooms, http: aiohttp.ClientSession, name: Any, code: int) -> None:
    status, answer = await ask(http, running, (await invite(http, running))["invitation"], name)

    assert (status, answer["code"]) == (400, code)


async def test_a_name_that_somebody_has_is_taken_until_its_page_was_closed(
    running: RunningRooms, http: aiohttp.ClientSession
) -> None:
    invited = await invite(http, running)
    await running.client("hall-2").join("lobby")
    _, first = await ask(http, running, invited["invitation"], "Ann")
    ann = Client(running.service, first["token"])
    await ann.join("lobby")

    taken = [await ask(http, running, invited["invitation"], name) for name in ("hall-2", "Ann")]
    running.service.link_lost(ann.here)
    again, _ = await ask(http, running, invited["invitation"], "Ann")

    assert [(status, body["details"]["reason"]) for status, body in taken] == [(409, "name_taken")] * 2
    assert again == 200


async def test_after_a_restart_a_guest_is_still_a_guest_and_comes_back_under_its_name(
    tmp_path: Path, clock: ManualClock, page: Path, http: aiohttp.ClientSession
) -> None:
    async with running_rooms(tmp_path, clock=clock, guest_folder=page) as running:
        invitation = (await invite(http, running))["invitation"]
        _, first = await ask(http, running, invitation, "Ann")
        ann = Client(running.service, first["token"])
        before = await ann.join("lobby")
        await running.client("hall-2").join("lobby")

    async with running_rooms(tmp_path, clock=clock, guest_folder=page) as running:
        taken, _ = await ask(http, running, invitation, "hall-2")
        status, again = await ask(http, running, invitation, "Ann")
        newer = Client(running.service, again["token"])
        after = await newer.join("lobby")

        assert (taken, status) == (409, 200)
        assert after.participant.sid != before.participant.sid
        assert [each.identity for each in after.participants] == ["hall-2"]
        # Who is no guest keeps its place, though its socket is away.
        intruder = Client(running.service, running.token("hall-2", "lobby", guest=True))
        with pytest.raises(RoomError) as caught:
            await intruder.join("lobby")
        assert caught.value.code == 53205


async def test_asking_for_tokens_without_end_is_slowed_down(running: RunningRooms, http: aiohttp.ClientSession) -> None:
    statuses = [(await ask(http, running, "AAAA", "Ann"))[0] for _ in range(21)]

    assert statuses == [403] * 20 + [429]


async def test_the_page_comes_with_a_policy_that_lets_only_our_own_files_in(
    running: RunningRooms, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{running.url}/join/lobby") as answer:
        page = await answer.text()

    policy = answer.headers["Content-Security-Policy"]
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert f"ws://127.0.0.1:{running.door.port}" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("css/guest.css", "text/css"),
        ("js/main.js", "text/javascript"),
        ("vendor/twilio-video.min.js", "text/javascript"),
    ],
)
async def test_the_files_of_the_page_have_their_types(
    running: RunningRooms, http: aiohttp.ClientSession, path: str, content_type: str
) -> None:
    async with http.get(f"{running.url}/join/-/{path}") as answer:
        assert (answer.status, answer.content_type) == (200, content_type)
        tag = answer.headers["ETag"]
    async with http.get(f"{running.url}/join/-/{path}", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304


@pytest.mark.parametrize(
    "path",
    [
        "/join/-/../../pyproject.toml",
        "/join/-/%2e%2e/%2e%2e/pyproject.toml",
        "/join/-/css/..%2f..%2f..%2fpyproject.toml",
        "/join/-/css%2f..%2f..%2f..%2fappliance%2fcss.css",
        "/join/-/package.json",
        "/join/-/build.mjs",
        "/join/-/node_modules/twilio-video/index.js",
        "/join/-/css/none.css",
        "/join/-/css/%00.css",
        "/join/-/.hidden/x.css",
    ],
)
async def test_nothing_but_the_files_of_the_page_is_given_out(
    running: RunningRooms, http: aiohttp.ClientSession, path: str
) -> None:
    async with http.get(URL(running.url + path, encoded=True)) as answer:
        assert answer.status in (401, 404)


async def test_a_room_that_cannot_be_has_no_page(running: RunningRooms, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{running.url}/join/{'x' * 129}") as answer:
        assert (answer.status, (await answer.json())["code"]) == (400, 53101)


async def test_without_the_sdk_there_is_neither_page_nor_invitation(
    running: RunningRooms, http: aiohttp.ClientSession, page: Path
) -> None:
    (page / "vendor" / "twilio-video.min.js").unlink()

    status, body = await post(http, running, "/join/lobby/invitations", None, basic(running))
    async with http.get(f"{running.url}/join/lobby") as answer:
        assert answer.status == 404

    assert (status, body["details"]["reason"]) == (404, "not_installed")
