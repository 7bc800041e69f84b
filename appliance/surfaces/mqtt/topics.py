"""Topics and payloads of a kiosk on MQTT (kiosk.md 10, 12). Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from appliance.clock import rfc3339
from appliance.errors import CommandRefused
from appliance.kiosk.effects import Answer
from appliance.kiosk.inputs import COMMANDS, Command, read_command
from appliance.surfaces.control_messages import MAX_DEPTH, nesting

MAX_PAYLOAD_BYTES = 64 * 1024
MAX_ID = 64
STALE_AFTER = timedelta(seconds=30)
"""Of a command with `issued_at`."""
REPEAT_WITHIN = timedelta(minutes=10)
"""A command whose id was seen is answered again, not done again."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one kiosk. `base` is `mqtt.base_topic`."""

    base: str
    device_id: str

    @property
    def prefix(self) -> str:
        return f"{self.base}/{self.device_id}"

    @property
    def status(self) -> str:
        return f"{self.prefix}/status"

    @property
    def state(self) -> str:
        return f"{self.prefix}/state"

    @property
    def commands(self) -> str:
        """Filter for the commands to this kiosk."""
        return f"{self.prefix}/command/+"

    @property
    def fleet_commands(self) -> str:
        """Filter for the commands to every kiosk."""
        return f"{self.base}/all/command/+"

    @property
    def response(self) -> str:
        return f"{self.prefix}/response"

    def event(self, type: str) -> str:
        return f"{self.prefix}/event/{type}"

    def button(self, name: str) -> str:
        return f"{self.prefix}/button/{name}"

    def may_answer_to(self, topic: str, prefixes: Sequence[str]) -> bool:
        """Tell whether answers may go there: anywhere else a command could make us overwrite somebody's topic."""
        allowed = (f"{self.base}/reply/", *prefixes)
        return topic.startswith(allowed) and not set("+#\0") & set(topic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command that arrived.

    Args:
        id: of whoever asked, to be repeated in the answer; None without one.
        response_topic: where the answer goes; None is `{p}/response`.
        correlation: returned as it came (MQTT 5, 4.10).
    """

    name: str
    command: Command
    id: str | None
    response_topic: str | None
    correlation: bytes | None


class BadCommand(CommandRefused):
    """A command that cannot be read. What is known of whom to answer rides along."""

    def __init__(self, code: str, message: str, *, id: str | None = None, response_topic: str | None = None) -> None:
        super().__init__(code, message)
        self.id, self.response_topic = id, response_topic


def read_request(
    topic: str,
    payload: bytes,
    properties: Mapping[str, Any],
    *,
    allowed: Sequence[str],
    now: datetime,
) -> Request:
    """Return the command in a message.

    Args:
        topic: ends in the command's name.
        properties: as `broker.Message` has them.
        allowed: `mqtt.allow_commands`.
        now: UTC.

    Raises:
        BadCommand: `invalid_request`, `unknown_command`, `policy_denied`, `expired`, `too_large`.
    """
    name = topic.rpartition("/")[2]
    tree = _tree(payload)
    id = tree.get("id")
    if id is not None and (not isinstance(id, str) or not 1 <= len(id) <= MAX_ID or not id.isprintable()):
        raise BadCommand("invalid_request", f"'id' has to be text of 1 to {MAX_ID} printable characters")
    response_topic = properties.get("response_topic") or tree.get("response_topic")
    if not isinstance(response_topic, str | None):
        raise BadCommand("invalid_request", "'response_topic' has to be text", id=id)
    try:
        _check_age(tree.get("issued_at"), now)
        if name not in COMMANDS:
            raise CommandRefused("unknown_command", f"{name[:80]!r} is not a command")
        if name not in allowed:
            raise CommandRefused("policy_denied", f"{name} is not among mqtt.allow_commands")
        command = read_command(name, tree, strict=False)
    except CommandRefused as error:
        raise BadCommand(error.code, str(error), id=id, response_topic=response_topic) from None
    correlation = properties.get("correlation_data")
    return Request(name=name, command=command, id=id, response_topic=response_topic, correlation=correlation)


def _tree(payload: bytes) -> dict[str, Any]:
    """Return the JSON object of a payload; an empty one has no arguments."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise BadCommand("too_large", f"a command has at most {MAX_PAYLOAD_BYTES} bytes")
    if not payload.strip():
        return {}
    if nesting(payload) > MAX_DEPTH:
        raise BadCommand("invalid_request", f"nested more than {MAX_DEPTH} levels deep")
    try:
        tree = json.loads(payload.decode("utf-8"))
    except UnicodeDecodeError:
        raise BadCommand("invalid_request", "not UTF-8") from None
    except ValueError as error:
        raise BadCommand("invalid_request", f"not JSON: {error}") from None
    if not isinstance(tree, dict):
        raise BadCommand("invalid_request", "a command's arguments are a JSON object")
    return tree


def _check_age(issued_at: Any, now: datetime) -> None:
    if issued_at is None:
        return
    try:
        issued = datetime.fromisoformat(issued_at) if isinstance(issued_at, str) else None
    except ValueError:
        issued = None
    if issued is None or issued.tzinfo is None:
        raise CommandRefused("invalid_request", "'issued_at' has to be a time like 2026-03-01T09:00:00Z")
    if now - issued > STALE_AFTER:
        raise CommandRefused("expired", f"issued more than {STALE_AFTER.seconds} s ago")


def answer_payload(name: str, id: str | None, answer: Answer, now: datetime, duration_ms: int) -> dict[str, Any]:
    """Return what goes to the response topic; a long command that is only accepted says so."""
    tree: dict[str, Any] = {"v": 1, "id": id, "command": name, "ok": answer.ok}
    if answer.ok:
        if not answer.final:
            tree["accepted"] = True
        tree["result"] = dict(answer.result)
    else:
        tree["error"] = {"code": answer.code, "message": answer.message, "retryable": answer.code in RETRYABLE}
    return tree | {"ts": rfc3339(now), "duration_ms": duration_ms}


RETRYABLE = frozenset({"busy", "timeout", "unavailable", "rate_limited", "service_unreachable", "room_full"})


def write(tree: Mapping[str, Any]) -> bytes:
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
