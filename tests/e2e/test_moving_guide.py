"""The guide for those who move is tried literally: its own lines, against a service as it comes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.browser import FLAGS
from tests.support.programs_found import chromium, program
from tests.support.rest_caller import RestCaller
from tests.support.sdk_participant import SdkParticipant
from tests.support.stack import Stack, running_stack

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "moving-from-twilio.md"
NODE = Path(__file__).parent / "node"
SHOWN = re.compile(r"RM[0-9a-f]{32} in-progress\nstandup \[\s*\]\n(\S+\.\S+\.\S+)\n")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("rooms")) as stack:
        stack.start_rooms()
        yield stack


def blocks(language: str, comment: str) -> list[str]:
    """Return the guide's code of one language, in its order."""
    found: list[str] = re.findall(rf"```{language}\n{comment} \w+: .*?\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    assert len(found) == 3
    return found


def environment(service: Stack) -> Mapping[str, str]:
    """Set what the guide's first step exports; its `unset` too."""
    keys = service.credentials
    exported = {
        "ROOMS_SERVICE": service.service,
        "TWILIO_ACCOUNT_SID": keys["account_sid"],
        "TWILIO_AUTH_TOKEN": keys["auth_token"],
        "TWILIO_API_KEY": keys["api_key_sid"],
        "TWILIO_API_SECRET": keys["api_key_secret"],
        "NO_PROXY": "127.0.0.1",
    }
    step = GUIDE.read_text().partition("## 1.")[2].partition("## 2.")[0]
    assert set(re.findall(r"export (\w+)=", step)) == exported.keys() - {"NO_PROXY"}
    return {
        name: value for name, value in os.environ.items() if name not in ("TWILIO_REGION", "TWILIO_EDGE")
    } | exported


def run(service: Stack, command: list[str], text: str, folder: Path) -> str:
    done = subprocess.run(
        command,
        input=text,
        cwd=folder,
        env=environment(service),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def check(service: Stack, shown: str) -> None:
    """The printed lines are what the guide promises, and the token of the last one opens the room."""
    found = SHOWN.fullmatch(shown)
    assert found, shown
    with SdkParticipant(service.service, found[1], "standup") as ann:
        assert ann.room
        assert (ann.room.name, ann.room.local_participant.identity) == ("standup", "ann")


@pytest.fixture(scope="module")
def shown_by_python(service: Stack) -> str:
    return run(service, [sys.executable, "-"], "\n".join(blocks("python", "#")), service.folder)


def test_the_lines_for_python_work_as_they_stand(service: Stack, shown_by_python: str) -> None:
    check(service, shown_by_python)


@pytest.mark.skipif(
    not (NODE / "node_modules" / "twilio").exists(), reason="Node's twilio is not there: ./run test fetches it"
)
def test_the_lines_for_node_work_as_they_stand(service: Stack) -> None:
    lines = "\n".join([*blocks("js", "//"), "rooms().then(token);"])

    check(service, run(service, [program("node"), "--input-type=commonjs", "-"], lines, NODE))


@pytest.mark.browser
def test_the_line_for_the_browser_works_as_it_stands(
    service: Stack, shown_by_python: str, browser: Browser, application_address: str
) -> None:
    step = GUIDE.read_text().partition("## 5.")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```js\n(.*?)```", step, re.DOTALL)
    (named,) = re.findall(r"wss://([\w.]+:\d+)/signaling", code)
    token = SHOWN.fullmatch(shown_by_python)
    assert token
    # The guide's host is nobody's: its name leads to the service's HTTPS listener, whose certificate is its own.
    here = service.rooms.ready["https"].removeprefix("https://")
    flags = [*FLAGS, f"--host-resolver-rules=MAP {named} {here}", "--ignore-certificate-errors"]
    with browser.browser_type.launch(executable_path=chromium(), args=flags) as other:
        page = other.new_page()
        page.goto(application_address)

        joined = page.evaluate(f"async (token) => {{ {code}; window.room = room; return room.sid; }}", token[1])

        call = RestCaller(service)
        (ann,) = call("GET", f"/v1/Rooms/{joined}/Participants")["participants"]
        tracks = call("GET", f"/v1/Rooms/{joined}/Participants/ann/PublishedTracks")["published_tracks"]
        assert (call("GET", "/v1/Rooms/standup")["sid"], ann["identity"]) == (joined, "ann")
        assert sorted(track["kind"] for track in tracks) == ["audio", "video"]
        page.evaluate("room.disconnect()")
