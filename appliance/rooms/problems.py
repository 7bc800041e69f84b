"""Errors of the REST API beyond those of the SDK, and what every error looks like on the wire (rest.md 4.4, 15)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from appliance.errors import RoomError, RoomKioskError

DEFAULT_MORE_INFO = "https://www.twilio.com/docs/errors/"


class RestError(RoomKioskError):
    """An answer other than success."""

    def __init__(
        self,
        status: int,
        code: int,
        message: str,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})
        self.details = details


def invalid_parameter(name: str, rule: str) -> RestError:
    return RestError(400, 20001, f"Invalid parameter {name}: {rule}")


def missing_parameter(name: str) -> RestError:
    return RestError(400, 20001, f"Missing required parameter {name} in the post body")


def not_found(path: str) -> RestError:
    """`path`: what was asked for, decoded, from after `/v1` on."""
    return RestError(404, 20404, f"The requested resource {path} was not found")


def forbidden() -> RestError:
    return RestError(403, 20403, "Forbidden")


def unavailable() -> RestError:
    return RestError(503, 20503, "Service is unavailable. Please try again")


@dataclass(frozen=True, slots=True)
class Problem:
    """An error as it is sent: HTTP status, headers, body."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


def problem_of(error: RestError | RoomError, more_info: str = DEFAULT_MORE_INFO) -> Problem:
    if isinstance(error, RestError):
        body = _body(error.status, error.code, error.message, more_info)
        return Problem(error.status, body | ({"details": error.details} if error.details else {}), error.headers)
    return Problem(error.http_status, _body(error.http_status, error.code, error.message, more_info))


def _body(status: int, code: int, message: str, more_info: str) -> dict[str, Any]:
    """Exactly these four keys: with `type` or `title` libraries would raise another exception."""
    return {"code": code, "message": message, "more_info": f"{more_info}{code}", "status": status}
