"""How the kiosk proves who it is: access tokens signed with an API key, until it has a credential of its own.

A key opens all rooms, so tokens are for one room and this identity, and live in memory only (kiosk.md 4).
"""

import json
import stat
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from appliance.errors import ConfigurationError
from appliance.kiosk.settings import RoomsServiceSettings
from appliance.sids import AccountSid, KeySid
from appliance.tokens import SigningKey, mint

LIFETIME_S = 12 * 3600
"""A resume needs a token that is still good (tokens.md 2); what lasts longer joins afresh."""


class Access:
    """Makes tokens. The key is read anew for each, since a rooms service on the same box may have made another.

    Args:
        now: wall-clock time.
    """

    def __init__(self, settings: RoomsServiceSettings, identity: str, now: Callable[[], datetime]) -> None:
        self._settings, self.identity, self._now = settings, identity, now

    @property
    def signs(self) -> bool:
        """Whether tokens are made here; otherwise each join command brings its own."""
        return self._settings.auth == "api_key"

    def token(self, room: str, identity: str | None = None) -> str:
        """Return a token for one room.

        Raises:
            ConfigurationError: the key cannot be read, or tokens are to come with commands.
        """
        if not self.signs:
            raise ConfigurationError(["rooms_service.auth is command: a join needs a token"])
        key = read_key(self._settings)
        return mint(key, identity or self.identity, now=self._now().timestamp(), room=room, lifetime_s=LIFETIME_S)


def read_key(settings: RoomsServiceSettings) -> SigningKey:
    """Read the API key that the settings name. Raise ConfigurationError, never printing the secret."""
    if settings.credentials_file is not None:
        tree = _credentials(settings.credentials_file)
        return SigningKey(
            sid=KeySid(tree["api_key_sid"]), secret=tree["api_key_secret"], account_sid=AccountSid(tree["account_sid"])
        )
    assert settings.api_key_secret_file is not None
    secret = _text(settings.api_key_secret_file).strip()
    return SigningKey(
        sid=KeySid(settings.api_key_sid or ""), secret=secret, account_sid=AccountSid(settings.account_sid or "")
    )


def _credentials(path: Path) -> dict[str, str]:
    try:
        tree = json.loads(_text(path))
    except ValueError:
        raise ConfigurationError([f"{path}: not JSON"]) from None
    for key in ("account_sid", "api_key_sid", "api_key_secret"):
        if not isinstance(tree, dict) or not isinstance(tree.get(key), str):
            raise ConfigurationError([f"{path}: {key} is missing"])
    return {str(key): value for key, value in tree.items() if isinstance(value, str)}


def _text(path: Path) -> str:
    """Read a file that only its owner, or its owner's group (a rooms service beside us), may read (kiosk.md 14)."""
    try:
        mode = path.stat().st_mode
        if mode & stat.S_IROTH:
            shown = f"{stat.S_IMODE(mode):04o}"
            raise ConfigurationError([f"{path} is readable by others (mode {shown}); expected 0600 or 0640"])
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise ConfigurationError([f"{path}: not UTF-8"]) from None
