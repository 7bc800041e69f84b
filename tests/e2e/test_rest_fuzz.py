"""schemathesis against the description that the service gives of itself: no bug, nothing undocumented."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.rest_caller import RestCaller
from tests.support.sdk_participant import SdkParticipant
from tests.support.stack import Stack

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
GRACE_S = 120
CONFIGURATION = """
[dictionaries.rooms]
values = {rooms}
[dictionaries.people]
values = {people}
[dictionaries.rules]
values = {rules}
[dictionaries.callbacks]
values = ["http://127.0.0.1:9/status", "http://127.0.0.1:9/?a=b#c", "ftp://127.0.0.1", "status", "http://"]
[parameters]
"path.Room" = {{ dictionary = "rooms", probability = 0.7 }}
"path.Participant" = {{ dictionary = "people", probability = 0.7 }}
"body.StatusCallback" = {{ dictionary = "callbacks", probability = 1.0 }}
"body.Rules" = {{ dictionary = "rules", probability = 0.5 }}
"""
RULES = (
    '[{"type":"include","all":true}]',
    '[{"type":"exclude","all":true}]',
    '[{"type":"include","kind":"audio","publisher":"ann"}]',
    '[{"type":"exclude","kind":"video","track":"\\u0000\\ud83d\\ude00"}]',
    '[{"type":"exclude","publisher":"\\ud800"}]',
    '[{"type":"include"}]',
    '[{"type":"include","all":true,"all":true}]',
    "[]",
    "{",
)


@pytest.mark.parametrize(
    "seconds", [20, pytest.param(300, marks=[pytest.mark.long, pytest.mark.timeout(300 + 2 * GRACE_S)])]
)
def test_no_request_finds_a_bug_or_an_undocumented_answer(stack: Stack, seconds: int) -> None:
    stack.start_rooms('[callbacks]\nallow = ["127.0.0.0/8"]\n')
    call = RestCaller(stack)
    ended = call("POST", "/v1/Rooms", {"UniqueName": "ended"})
    call("POST", f"/v1/Rooms/{ended['sid']}", {"Status": "completed"})
    lobby = call("POST", "/v1/Rooms", {"UniqueName": "lobby"})
    call("POST", "/v1/Rooms", {"UniqueName": "two", "Type": "go"})

    with SdkParticipant(stack.service, stack.token("ann"), "lobby"):
        ann = call("GET", "/v1/Rooms/lobby/Participants/ann")["sid"]
        with SdkParticipant(stack.service, stack.token("gone"), "lobby"):
            gone = call("GET", "/v1/Rooms/lobby/Participants/gone")["sid"]
        configuration = stack.folder / "schemathesis.toml"
        configuration.write_text(
            CONFIGURATION.format(
                rooms=json.dumps(["lobby", lobby["sid"], ended["sid"], "two"]),
                people=json.dumps(["ann", ann, gone]),
                rules=json.dumps(RULES),
            )
        )
        outcome = _fuzz(stack, configuration, seconds)

    report = outcome.stdout + outcome.stderr
    assert outcome.returncode == 0, report[-8000:]
    generated = re.search(r"([\d,]+) generated", report)
    assert generated, report[-2000:]
    print(f"{generated[1]} requests in {seconds} s")  # noqa: T201  the figure of a long run
    assert int(generated[1].replace(",", "")) > 100
    assert call("GET", "/v1/Rooms?PageSize=1")["meta"]["page_size"] == 1


def _fuzz(stack: Stack, configuration: Path, seconds: int) -> "subprocess.CompletedProcess[str]":
    keys = stack.credentials
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(configuration),
        "run", f"{stack.service}/openapi.json",
        "--auth", f"{keys['account_sid']}:{keys['auth_token']}",
        "--checks", ",".join(CHECKS), "--max-time", str(seconds), "--max-examples", "100000",
        "--continue-on-failure", "--warnings", "off", "--no-color",
    ]  # fmt: skip
    return subprocess.run(
        command, cwd=stack.folder, capture_output=True, text=True, timeout=seconds + GRACE_S, check=False
    )
