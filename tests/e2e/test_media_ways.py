"""The ways that media of the unmodified SDK takes: directly, by IPv6 alone, or over nothing but Debian's coturn."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import FLAGS, Application
from tests.support.coturn import TRANSPORTS, Coturn
from tests.support.processes import wait_for
from tests.support.programs_found import chromium
from tests.support.signaling_proxy import Frame, Meddle
from tests.support.stack import Stack
from tests.support.wire_pages import Meeting, meeting_in, module_stack, moves

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coturn]:
    with Coturn(tmp_path_factory.mktemp("coturn")) as running:
        yield running


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, coturn: Coturn) -> Iterator[Stack]:
    urls = ", ".join(f'"{url}"' for url in coturn.urls)
    media = f'[media]\nturn_urls = [{urls}]\nturn_secret_file = "{coturn.secret_file}"\n'
    running = module_stack(tmp_path_factory.mktemp("stack"), media, ("127.0.0.1", "::1"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def trusting(browser: Browser) -> Iterator[Browser]:
    """A browser that takes the relay's certificate, as it takes one that an authority has signed."""
    launched = browser.browser_type.launch(executable_path=chromium(), args=[*FLAGS, "--ignore-certificate-errors"])
    yield launched
    launched.close()


@pytest.fixture
def meeting(stack: Stack, trusting: Browser, application_address: str) -> Iterator[Meeting]:
    with meeting_in(stack, trusting, application_address) as running:
        yield running


def without_ipv4(way: str, frame: Frame) -> Frame | None:
    """Leave the client those of the service's candidates that are IPv6, and no relay."""
    body = frame.get("body") or {} if way == "down" else {}
    if "ice_servers" in body:
        body["ice_servers"] = []
    for entry in body.get("peer_connections") or ():
        description = entry.get("description") or {}
        lines = (description.get("sdp") or "").split("\r\n")
        candidates = [line for line in lines if line.startswith("a=candidate:")]
        if candidates:
            assert {line.split()[4] for line in candidates} == {"127.0.0.1", "::1"}, "both are always given"
            description["sdp"] = "\r\n".join(line for line in lines if line not in candidates or " ::1 " in line)
    return frame


def test_a_call_goes_by_ipv6_alone(meeting: Meeting) -> None:
    with meeting.proxy() as proxy:
        proxy.meddle = without_ipv4
        anna = meeting.join("anna", proxy.url)
        bert = meeting.join("bert")

        moves(bert, "anna")
        moves(anna, "bert")
        assert [path["to"] for path in anna.call("paths")] == ["::1"]


def only(url: str) -> Meddle:
    """Leave the client one of the relay's addresses."""

    def meddle(way: str, frame: Frame) -> Frame | None:
        for server in (frame.get("body") or {}).get("ice_servers") or () if way == "down" else ():
            assert url in server["urls"]
            server["urls"] = [url]
        return frame

    return meddle


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_call_goes_over_the_relay_by_every_transport(meeting: Meeting, coturn: Coturn, transport: str) -> None:
    with meeting.proxy() as proxy:
        proxy.meddle = only(coturn.url(transport))
        anna = meeting.join("anna", proxy.url, options={"iceTransportPolicy": "relay"})
        bert = meeting.join("bert")

        moves(bert, "anna")
        moves(anna, "bert")
        [path] = anna.call("paths")
        assert (path["candidateType"], path["relayProtocol"]) == ("relay", transport)


def test_the_sdks_preflight_test_succeeds_where_there_is_a_relay(meeting: Meeting) -> None:
    page: Application = meeting.open()
    address = meeting.stack.service.replace("http", "ws", 1) + "/signaling"

    outcome = page.call("preflight", meeting.stack.token("anna", None), address)

    assert outcome.get("code") is None, outcome
    assert outcome["progress"][:2] == ["mediaAcquired", "connected"]
    assert {"mediaSubscribed", "iceConnected", "dtlsConnected", "peerConnectionConnected"} <= set(outcome["progress"])
    candidates = outcome["report"]["iceCandidateStats"]
    wait_for("a relay is among them", lambda: [each for each in candidates if each["candidateType"] == "relay"])
