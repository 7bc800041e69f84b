"""TCMP v2: the frames that carry everything else over a WebSocket (signaling.md 1.1). Pure.

One JSON object per text frame. What an unknown type or a malformed frame means is the link's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.errors import RemoteProtocolError
from appliance.signaling.fields import (
    Json,
    flag,
    integer,
    number,
    object_from_text,
    optional_part,
    optional_text,
    part,
    text,
    text_from_object,
    without_none,
)

PROTOCOL_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """C→S: opens or retries the handshake; `body` is the first room message."""

    id: str
    timeout_ms: float
    version: int = PROTOCOL_VERSION
    cookie: str | None = None
    body: Json | None = None

    @classmethod
    def from_wire(cls, data: Json) -> "Hello":
        return cls(
            id=text(data, "id"),
            timeout_ms=number(data, "timeout"),
            version=integer(data, "version"),
            cookie=optional_text(data, "cookie"),
            body=optional_part(data, "body", _unread),
        )

    def to_wire(self) -> dict[str, Any]:
        return without_none(
            {
                "type": "hello",
                "id": self.id,
                "version": self.version,
                "timeout": self.timeout_ms,
                "cookie": self.cookie,
                "body": self.body,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """S→C: the handshake is accepted; both ends beat at least every `negotiated_timeout_ms`."""

    negotiated_timeout_ms: float

    @classmethod
    def from_wire(cls, data: Json) -> "Welcome":
        return cls(negotiated_timeout_ms=number(data, "negotiatedTimeout"))

    def to_wire(self) -> dict[str, Any]:
        return {"type": "welcome", "negotiatedTimeout": self.negotiated_timeout_ms}


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Both ways: still here."""

    @classmethod
    def from_wire(cls, data: Json) -> "Heartbeat":
        return cls()

    def to_wire(self) -> dict[str, Any]:
        return {"type": "heartbeat"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Msg:
    """Both ways: `body` is one room message."""

    body: Json

    @classmethod
    def from_wire(cls, data: Json) -> "Msg":
        return cls(body=part(data, "body", _unread))

    def to_wire(self) -> dict[str, Any]:
        return {"type": "msg", "body": self.body}


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy:
    """S→C: come back in `retry_after_ms`; negative: never. `keep_alive`: over this very socket."""

    retry_after_ms: float
    keep_alive: bool = False
    cookie: str | None = None

    @classmethod
    def from_wire(cls, data: Json) -> "Busy":
        return cls(
            retry_after_ms=number(data, "retryAfter"),
            keep_alive=flag(data, "keepAlive", default=False),
            cookie=optional_text(data, "cookie"),
        )

    def to_wire(self) -> dict[str, Any]:
        return {
            "type": "busy",
            "retryAfter": self.retry_after_ms,
            "keepAlive": self.keep_alive,
            "cookie": self.cookie,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """S→C: the hello is refused. Once the link is open the SDK throws on it, so it is not sent any more."""

    reason: str

    @classmethod
    def from_wire(cls, data: Json) -> "Bad":
        return cls(reason=optional_text(data, "reason") or "no reason given")

    def to_wire(self) -> dict[str, Any]:
        return {"type": "bad", "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Bye:
    """C→S: a deliberate close follows. The other way it has no meaning."""

    @classmethod
    def from_wire(cls, data: Json) -> "Bye":
        return cls()

    def to_wire(self) -> dict[str, Any]:
        return {"type": "bye"}


Frame = Hello | Welcome | Heartbeat | Msg | Busy | Bad | Bye

_FRAMES: Mapping[str, type[Frame]] = {
    "hello": Hello,
    "welcome": Welcome,
    "heartbeat": Heartbeat,
    "msg": Msg,
    "busy": Busy,
    "bad": Bad,
    "bye": Bye,
}


def parse_frame(frame_text: str) -> Frame:
    """Return the frame that came as `frame_text`.

    Raises:
        RemoteProtocolError: not JSON, an unknown type, or a key that is missing or malformed, which is named.
    """
    data = object_from_text(frame_text)
    name = text(data, "type")
    if name not in _FRAMES:
        raise RemoteProtocolError(f"type: {name[:40]!a} is no frame of this protocol")
    return _FRAMES[name].from_wire(data)


def format_frame(frame: Frame) -> str:
    """Return the text frame to write."""
    return text_from_object(frame.to_wire())


def _unread(body: Json) -> Json:
    return body
