"""Where status callbacks do not go, whom they trust, and what is said of them (callbacks.md 6, 11, 12)."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from appliance.rooms import certificates
from appliance.rooms.callbacks import HttpSink
from appliance.rooms.delivery import Outcome, OutcomeClass
from appliance.rooms.settings import CallbackSettings, networks
from appliance.rooms.store.deliveries import Due
from appliance.system_clock import SystemClock

DEFAULTS = CallbackSettings()
LOOPBACK = ("127.0.0.0/8", "::1/128")


def due(address: str, method: str = "POST") -> Due:
    return Due(
        event_id="EV" + "1" * 32,
        sink="http",
        account_sid="AC" + "1" * 32,
        room_sid="RM" + "1" * 32,
        seq=0,
        name="room-created",
        occurred_at=datetime.now(UTC),
        params={"RoomName": "confidential", "SequenceNumber": 0},
        reason=None,
        attempts=0,
        next_at=None,
        status_callback=address,
        status_callback_method=method,
    )


@asynccontextmanager
async def sink(
    allow: tuple[str, ...] = DEFAULTS.allow, deny: tuple[str, ...] = DEFAULTS.deny, ca_file: Path | None = None
) -> AsyncIterator[HttpSink]:
    async with HttpSink(
        lambda: "token", SystemClock(), allow=networks(allow), deny=networks(deny), ca_file=ca_file
    ) as opened:
        yield opened


class Receiver:
    """Keeps who asked for what; listens on loopback."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append((request.host, request.raw_path))
        self.headers.append(dict(request.headers))
        answer = web.Response(body=b"x" * 200_000)
        answer.set_cookie("remember", "me")
        return answer


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver(0)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let every look-up of a name answer with the next of these; return the names that were looked up."""
    looked_up: list[str] = []
    left = iter(answers)

    async def getaddrinfo(host: str, port: int, **more: Any) -> list[Any]:
        looked_up.append(host)
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 0, "", (each, port))
            for each in next(left)
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return looked_up


def is_denied(outcome: Outcome) -> bool:
    return outcome.kind is OutcomeClass.REFUSED and "network that callbacks must not go to" in (outcome.error or "")


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "169.254.0.0",
        "169.254.169.254",
        "169.254.255.255",
        "[fe80::1]",
        "[febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff]",
        "[fe80::1%25lo]",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[2002:a9fe:a9fe::1]",
        "[64:ff9b::a9fe:a9fe]",
        "2852039166",
        "0xa9fea9fe",
        "0xa9.0xfe.0xa9.0xfe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "0.0.0.0",
        "[::]",
        "224.0.0.1",
        "[ff02::1]",
    ],
)
async def test_link_local_and_unroutable_addresses_are_not_called_in_any_writing(host: str) -> None:
    async with sink() as http:
        outcome = await http.deliver(due(f"http://{host}:9/hook"))

    assert is_denied(outcome), outcome


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f000001", "127.1", "[::1]"])
async def test_a_network_that_is_denied_is_not_reached_in_any_writing(host: str) -> None:
    async with receiving() as receiver, sink(deny=LOOPBACK) as http:
        outcome = await http.deliver(due(f"http://{host}:{receiver.port}/hook"))

    assert is_denied(outcome), outcome
    assert receiver.asked == []


async def test_what_is_not_among_the_allowed_networks_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver, sink(allow=("10.0.0.0/8",), deny=()) as http:
        by_address = await http.deliver(due(f"http://127.0.0.1:{receiver.port}/hook"))
        names(monkeypatch, ["127.0.0.1"])
        by_name = await http.deliver(due(f"http://hook.example:{receiver.port}/"))

    assert is_denied(by_address)
    assert is_denied(by_name)
    assert receiver.asked == []


async def test_a_network_at_home_is_called_unless_denied() -> None:
    async with receiving() as receiver, sink() as http:
        outcome = await http.deliver(due(f"http://127.0.0.1:{receiver.port}/hook"))

    assert outcome == Outcome(kind=OutcomeClass.DELIVERED, status=200)


# --- names ------------------------------------------------------------------------------------------------------------


async def test_a_name_is_looked_up_once_and_the_connection_made_to_what_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that answers differently the second time (DNS rebinding) gets no second time within an attempt."""
    async with receiving() as receiver, sink() as http:
        looked_up = names(monkeypatch, ["127.0.0.1"], ["169.254.169.254"], ["127.0.0.1"])
        outcomes = [await http.deliver(due(f"http://hook.example:{receiver.port}/a")) for _ in range(3)]

    assert [outcome.kind for outcome in outcomes] == ["delivered", "refused", "delivered"]
    assert looked_up == ["hook.example"] * 3
    assert receiver.asked == [(f"hook.example:{receiver.port}", "/a")] * 2


async def test_of_several_addresses_only_the_allowed_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver, sink() as http:
        names(monkeypatch, ["169.254.169.254", "fe80::1", "127.0.0.1"], ["169.254.169.254", "fe80::1"])
        mixed = await http.deliver(due(f"http://hook.example:{receiver.port}/"))
        denied = await http.deliver(due(f"http://hook.example:{receiver.port}/"))

    assert mixed.kind is OutcomeClass.DELIVERED
    assert is_denied(denied)


async def test_a_name_that_does_not_exist_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nobody)
    async with sink() as http:
        outcome = await http.deliver(due("http://hook.example/"))

    assert outcome.kind is OutcomeClass.RETRY


# --- redirects, cookies, proxies, bodies ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed_wherever_it_points(status: int) -> None:
    async with receiving() as elsewhere:

        async def redirect(request: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": f"http://127.0.0.1:{elsewhere.port}/inside"})

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", redirect)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            async with sink() as http:
                outcome = await http.deliver(due(f"http://127.0.0.1:{runner.addresses[0][1]}/hook"))
        finally:
            await runner.cleanup()

    assert (outcome.kind, outcome.status) == (OutcomeClass.REFUSED, status)
    assert elsewhere.asked == []


async def test_neither_cookies_nor_a_proxy_of_the_environment_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver, receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with sink() as http:
            for _ in range(2):
                outcome = await http.deliver(due(f"http://user:pa%20ss@127.0.0.1:{receiver.port}/hook?a=b#rc=2"))

    assert outcome.kind is OutcomeClass.DELIVERED
    assert proxy.asked == []
    assert [path for _, path in receiver.asked] == ["/hook?a=b"] * 2
    assert not any("Cookie" in headers for headers in receiver.headers)
    assert {headers["Authorization"] for headers in receiver.headers} == {"Basic dXNlcjpwYSBzcw=="}
    assert {headers["Accept"] for headers in receiver.headers} == {"*/*"}


async def test_an_answer_without_end_holds_nobody_up() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" + b"x" * 100_000)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server, sink() as http:
        outcome = await http.deliver(due(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"))

    assert outcome == Outcome(kind=OutcomeClass.DELIVERED, status=200)


# --- what a receiver may ask for --------------------------------------------------------------------------------------


@pytest.mark.parametrize("override", ["rt=100", "tt=100"])
async def test_the_address_may_shorten_the_patience_with_a_receiver_that_hangs(override: str) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, sink() as http:
        # Without the override it would be 15 s, which is longer than this test may take.
        async with asyncio.timeout(10):
            outcome = await http.deliver(due(f"http://127.0.0.1:{port}/hook#{override}&rc=2&rp=rt"))

    assert (outcome.kind, outcome.quick_retries) == (OutcomeClass.RETRY, 2)
    assert "no answer in time" in (outcome.error or "")


@pytest.mark.parametrize("asked", ["120", "date"])
async def test_a_receiver_may_ask_for_time_in_seconds_or_by_a_date(asked: str) -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=120), usegmt=True) if asked == "date" else asked

    async def later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 503 Later\r\nRetry-After: {until}\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(later, "127.0.0.1", 0)
    async with server, sink() as http:
        outcome = await http.deliver(due(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"))

    assert (outcome.kind, outcome.status) == (OutcomeClass.RETRY, 503)
    assert 100 < outcome.retry_after_s <= 120


@pytest.mark.parametrize(
    ("status", "kind"),
    [(200, "delivered"), (204, "delivered"), (299, "delivered"), (304, "refused"), (400, "refused"), (404, "refused"),
     (408, "retry"), (410, "gone"), (425, "retry"), (429, "retry"), (500, "retry"), (503, "retry")],
)  # fmt: skip
async def test_every_status_has_its_class(status: int, kind: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, sink() as http:
        outcome = await http.deliver(due(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"))

    assert (outcome.kind, outcome.status) == (kind, status)


# --- TLS --------------------------------------------------------------------------------------------------------------


async def test_a_certificate_is_verified_and_one_of_our_own_can_be_trusted(tmp_path: Path) -> None:
    certificate, key = certificates.load_or_make(tmp_path, ["localhost"], ["127.0.0.1"], datetime.now(UTC))
    async with receiving(certificates.tls_context(certificate, key)) as receiver:
        address = f"https://127.0.0.1:{receiver.port}/hook"
        async with sink() as http:
            strange = await http.deliver(due(address))
        async with sink(ca_file=certificate) as http:
            known = await http.deliver(due(address))
            by_another_name = await http.deliver(due(f"https://127.0.0.2:{receiver.port}/hook"))

    assert strange.kind is OutcomeClass.RETRY
    assert "certificate" in (strange.error or "").lower()
    assert known.kind is OutcomeClass.DELIVERED
    assert by_another_name.kind is OutcomeClass.RETRY
    assert len(receiver.asked) == 1


# --- what is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_what_went_wrong_is_told_without_the_address_and_the_parameters(method: str) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server, sink() as http:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?secret=abc"
        outcome = await http.deliver(due(address, method))

    assert outcome.kind is OutcomeClass.RETRY
    assert "127.0.0.1" in (outcome.error or "")
    assert not any(word in (outcome.error or "") for word in ("secret", "abc", "/hook", "confidential"))
