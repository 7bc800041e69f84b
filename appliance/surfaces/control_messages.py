"""The control socket's conversation: JSON lines, each read strictly and written exactly. Pure.

    → {"id": "1", "do": "room.join", "arguments": {"room": "lobby"}, "actor": {"origin": "page", "role": "operator"}}
    ← {"id": "1", "ok": true, "result": {"command_id": "…"}}
    ← {"id": "1", "ok": false, "error": {"code": "policy_denied", "message": "…"}}
    → {"id": "2", "watch": "state"}
    ← {"id": "2", "ok": true}, then {"event": "state", "state": {…}} now and on every change,
      and {"event": "outcome", "command_id": "…", "ok": true, …} for every command that ends
    → {"id": "3", "get": "screen"}      ← {"id": "3", "ok": true, "result": {"png": "<base64>"}}
    → {"id": "4", "get": "state"}, "participants" or "health"

An `actor` is believed only from the panel's user; everybody else is `cli` (kiosk.md 18).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from appliance.errors import CommandRefused

MAX_LINE_BYTES = 64 * 1024
"""Of a request, its line end included; an answer may be up to MAX_ANSWER_BYTES."""
MAX_ANSWER_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 16
MAX_ID = 64

Got = Literal["state", "participants", "health", "screen"]
_GETS: tuple[Got, ...] = ("state", "participants", "health", "screen")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedActor:
    """Who the panel says is asking. Values are those of kiosk.md 1 and 9, checked by the kiosk."""

    origin: str = "page"
    role: str = "viewer"
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Do:
    """A command; the kiosk's table of commands knows the names and their arguments."""

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    actor: ClaimedActor | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """From now on every state and outcome."""

    id: str


@dataclass(frozen=True, slots=True)
class Get:
    id: str
    what: Got


Request: TypeAlias = Do | Watch | Get


class BadLine(CommandRefused):
    """A line that is not a request. `id` is given where the line named one, so that the answer finds its way."""

    def __init__(self, message: str, id: str | None = None) -> None:
        super().__init__("invalid_request", message)
        self.id = id


def read_request(line: bytes) -> Request:
    """Return the request in one line.

    Raises:
        BadLine: saying what is wrong with it.
    """
    tree = _object(line)
    id = tree.get("id")
    if not isinstance(id, str) or not 1 <= len(id) <= MAX_ID or not id.isprintable():
        raise BadLine(f"'id' has to be text of 1 to {MAX_ID} printable characters")
    kinds = [key for key in ("do", "watch", "get") if key in tree]
    if len(kinds) != 1:
        raise BadLine("a request has exactly one of 'do', 'watch' and 'get'", id)
    allowed = {"id", *kinds, *(("arguments", "actor") if kinds == ["do"] else ())}
    for key in tree:
        if key not in allowed:
            raise BadLine(f"{key[:80]!r} is not known in this request", id)
    value = tree[kinds[0]]
    if not isinstance(value, str):
        raise BadLine(f"{kinds[0]!r} has to be text", id)
    if kinds == ["do"]:
        return _do(id, value, tree)
    if kinds == ["watch"]:
        if value != "state":
            raise BadLine('only "state" can be watched', id)
        return Watch(id)
    for what in _GETS:
        if value == what:
            return Get(id, what)
    raise BadLine(f"'get' has to be one of {', '.join(_GETS)}", id)


def _do(id: str, name: str, tree: Mapping[str, Any]) -> Do:
    arguments = tree.get("arguments", {})
    if not isinstance(arguments, dict):
        raise BadLine("'arguments' has to be an object", id)
    return Do(id=id, name=name, arguments=arguments, actor=_actor(id, tree.get("actor")))


def _actor(id: str, claim: Any) -> ClaimedActor | None:
    if claim is None:
        return None
    if not isinstance(claim, dict) or not set(claim) <= {"origin", "role", "account"}:
        raise BadLine("'actor' has to be an object of origin, role and account", id)
    origin, role, account = claim.get("origin", "page"), claim.get("role", "viewer"), claim.get("account")
    if not isinstance(origin, str) or not isinstance(role, str) or not isinstance(account, str | None):
        raise BadLine("'actor': origin, role and account have to be text", id)
    return ClaimedActor(origin=origin, role=role, account=account)


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE_BYTES:
        raise BadLine(f"a line has at most {MAX_LINE_BYTES} bytes")
    if nesting(line) > MAX_DEPTH:
        raise BadLine(f"nested more than {MAX_DEPTH} levels deep")
    try:
        tree = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise BadLine("not UTF-8") from None
    except ValueError as error:
        raise BadLine(f"not JSON: {error}") from None
    if not isinstance(tree, dict):
        raise BadLine("a request is a JSON object")
    return tree


def nesting(text: bytes) -> int:
    """Return how deep arrays and objects are nested; counted before parsing, since the parser recurses."""
    deepest = depth = 0
    in_text = escaped = False
    for byte in text:
        if in_text:
            if escaped:
                escaped = False
            elif byte == 0x5C:  # backslash
                escaped = True
            elif byte == 0x22:
                in_text = False
        elif byte == 0x22:
            in_text = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def write_request(request: Request) -> bytes:
    """Return the line of a request, its end included."""
    match request:
        case Do(id=id, name=name, arguments=arguments, actor=actor):
            tree: dict[str, Any] = {"id": id, "do": name, "arguments": dict(arguments)}
            if actor is not None:
                tree["actor"] = {"origin": actor.origin, "role": actor.role, "account": actor.account}
        case Watch(id=id):
            tree = {"id": id, "watch": "state"}
        case Get(id=id, what=what):
            tree = {"id": id, "get": what}
    return _line(tree)


def ok_line(id: str, result: Mapping[str, Any] | None = None) -> bytes:
    return _line({"id": id, "ok": True} | ({} if result is None else {"result": result}))


def error_line(id: str | None, code: str, message: str) -> bytes:
    """`id` None: the line was too broken to have one."""
    return _line({"id": id, "ok": False, "error": {"code": code, "message": message}})


def state_line(document: Mapping[str, Any]) -> bytes:
    return _line({"event": "state", "state": document})


def outcome_line(command_id: str, error: tuple[str, str] | None, result: Mapping[str, Any] | None = None) -> bytes:
    """Tell how a command ended. `error` is (code, message)."""
    tree: dict[str, Any] = {"event": "outcome", "command_id": command_id, "ok": error is None}
    if error is None:
        tree["result"] = dict(result or {})
    else:
        tree["error"] = {"code": error[0], "message": error[1]}
    return _line(tree)


def _line(tree: Mapping[str, Any]) -> bytes:
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"
