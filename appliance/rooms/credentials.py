"""The one account of the service: its auth token and its API key, made at the first start, kept in a 0600 file."""

import hmac
import json
import os
import secrets
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from appliance.errors import ConfigurationError
from appliance.sids import AccountSid, KeySid, looks_like, new_account_sid, new_key_sid
from appliance.tokens import SigningKey

FILE_NAME = "credentials.json"
_ALPHABET = string.ascii_letters + string.digits
_SECRET_LENGTH = 32
_FILE_MODE = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The account and its secrets.

    `auth_token` authenticates REST requests and signs callbacks; `api_key_secret` authenticates and signs access tokens
    (tokens.md 6). `service_secret` never leaves the service: it authenticates page tokens and invitations.
    """

    account_sid: AccountSid
    auth_token: str
    api_key_sid: KeySid
    api_key_secret: str
    service_secret: str

    def __repr__(self) -> str:
        return f"Credentials({self.account_sid}, {self.api_key_sid})"

    @classmethod
    def new(cls) -> Self:
        return cls(
            account_sid=new_account_sid(),
            auth_token=secrets.token_hex(16),
            api_key_sid=new_key_sid(),
            api_key_secret="".join(secrets.choice(_ALPHABET) for _ in range(_SECRET_LENGTH)),
            service_secret=secrets.token_hex(32),
        )

    @property
    def signing_key(self) -> SigningKey:
        return SigningKey(sid=self.api_key_sid, secret=self.api_key_secret, account_sid=self.account_sid)

    def find_key(self, sid: str) -> SigningKey | None:
        """Return the API key of this SID; what `tokens.verify` asks for."""
        return self.signing_key if sid == self.api_key_sid else None

    def account_of(self, user: str, password: str) -> AccountSid | None:
        """Return the account that this user name and password open, or None (rest.md 2). Takes constant time."""
        given = password.encode("utf-8", "surrogatepass")
        by_token = hmac.compare_digest(given, self.auth_token.encode())
        by_key = hmac.compare_digest(given, self.api_key_secret.encode())
        known = (user == self.account_sid and by_token) or (user == self.api_key_sid and by_key)
        return self.account_sid if known else None


def load_or_make(folder: Path) -> tuple[Credentials, bool]:
    """Return the credentials in this folder, and whether they were made just now.

    Raises:
        ConfigurationError: the file is readable by others, damaged, or cannot be read or written.
    """
    path = folder / FILE_NAME
    return (load(path), False) if path.exists() else (_make(path), True)


def load(path: Path) -> Credentials:
    """Return the credentials in this file.

    Raises:
        ConfigurationError: the file is readable by others, damaged, or cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        mode = path.stat().st_mode & 0o777
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path}: cannot be read: {error}"]) from error
    if mode & 0o077:
        raise ConfigurationError([f"{path} is readable by others (mode {mode:04o}); expected 0600"])
    try:
        return _read(json.loads(text))
    except (ValueError, RecursionError) as error:
        problem = f"{path}: damaged ({error}); restore it, or remove it to get a new account and key"
        raise ConfigurationError([problem]) from error


def _make(path: Path) -> Credentials:
    """Write new ones so that the file is whole or not there at all, and never readable by others."""
    credentials = Credentials.new()
    unfinished = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE), "w") as file:
            json.dump(asdict(credentials), file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be written: {error.strerror}"]) from error
    return credentials


def _read(data: Any) -> Credentials:
    if not isinstance(data, Mapping):
        raise ValueError("not an object")
    texts = {name: data.get(name) for name in Credentials.__dataclass_fields__}
    for name, text in texts.items():
        if not isinstance(text, str) or len(text) < _SECRET_LENGTH or not text.isascii():
            raise ValueError(f"{name} is missing or too short")
    if not looks_like("AC", str(texts["account_sid"])) or not looks_like("SK", str(texts["api_key_sid"])):
        raise ValueError("account_sid or api_key_sid is no SID")
    return Credentials(**{name: str(text) for name, text in texts.items()})  # type: ignore[arg-type]
