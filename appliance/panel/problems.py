"""What the API says when it refuses: application/problem+json (RFC 9457), with the codes of kiosk.md 9. Pure."""

from collections.abc import Mapping
from typing import Any

STATUS_OF: Mapping[str, int] = {
    "invalid_request": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "csrf": 403,
    "policy_denied": 403,
    "not_found": 404,
    "invalid_state": 409,
    "busy": 409,
    "stale_revision": 412,
    "too_large": 413,
    "invalid_config": 422,
    "rate_limited": 429,
    "internal": 500,
    "unavailable": 503,
    "timeout": 504,
}

_TITLES: Mapping[str, str] = {
    "invalid_request": "The request cannot be used",
    "unauthenticated": "Sign in first",
    "forbidden": "Not allowed",
    "csrf": "The request did not come from this page",
    "policy_denied": "Not allowed from here",
    "not_found": "Nothing is here",
    "invalid_state": "Not possible now",
    "busy": "Busy",
    "stale_revision": "Changed in the meantime",
    "too_large": "Too large",
    "invalid_config": "The settings cannot be used",
    "rate_limited": "Too many requests",
    "internal": "An error of the panel itself",
    "unavailable": "The kiosk does not answer",
    "timeout": "The kiosk took too long",
}


class Problem(Exception):
    """A request that is not carried out.

    Args:
        code: one of `STATUS_OF`.
        detail: one sentence for people: what, which, and what to do.
        field: the key of the body that is at fault.
        retry_after_s: sent as `Retry-After`.
    """

    def __init__(
        self, code: str, detail: str, *, field: str | None = None, status: int | None = None, retry_after_s: int = 0
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.field = field
        self.status = status or STATUS_OF.get(code, 500)
        self.retry_after_s = retry_after_s

    def document(self, request_id: str) -> dict[str, Any]:
        """Return the body of the answer."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": _TITLES.get(self.code, "Refused"),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }
        if self.field is not None:
            document["field"] = self.field
        return document
