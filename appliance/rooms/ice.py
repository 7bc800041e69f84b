"""Which ICE servers a client is given: the configured ones, and coturn's with time-limited credentials. Pure."""

import base64
import hmac
from dataclasses import dataclass

from appliance.signaling.states import IceServer

TURN_LIFETIME_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class IceServers:
    """`turn_secret` is coturn's `static-auth-secret`."""

    fixed: tuple[IceServer, ...] = ()
    turn_urls: tuple[str, ...] = ()
    turn_secret: str | None = None

    def for_client(self, identity: str, now: float) -> tuple[IceServer, ...]:
        """Return what one client may use.

        The user name is `<expiry in unix seconds>:<identity>`, the credential its HMAC-SHA1 (coturn's
        `use-auth-secret`, draft-uberti-behave-turn-rest-00).
        """
        if not self.turn_urls or not self.turn_secret:
            return self.fixed
        username = f"{int(now) + TURN_LIFETIME_S}:{identity}"
        digest = hmac.digest(self.turn_secret.encode(), username.encode(), "sha1")
        turn = IceServer(urls=self.turn_urls, username=username, credential=base64.b64encode(digest).decode("ascii"))
        return (*self.fixed, turn)
