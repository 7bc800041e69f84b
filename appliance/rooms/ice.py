"""coturn's time-limited credentials, made for one client at a time. Pure."""

import base64
import hmac
from dataclasses import dataclass, field

from appliance.signaling.states import IceServer

LIFETIME_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnServer:
    """A coturn that runs with `use-auth-secret`; `secret` is its `static-auth-secret`."""

    urls: tuple[str, ...]
    secret: str = field(repr=False)

    def for_client(self, identity: str, now: float) -> IceServer:
        """Return what one client may use for a day.

        The user name is `<expiry in unix seconds>:<identity>`, the credential its HMAC-SHA1
        (draft-uberti-behave-turn-rest-00).
        """
        username = f"{int(now) + LIFETIME_S}:{identity}"
        digest = hmac.digest(self.secret.encode(), username.encode(), "sha1")
        return IceServer(urls=self.urls, username=username, credential=base64.b64encode(digest).decode("ascii"))
