"""The rooms service's REST API called by hand, as an application server without any library would."""

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.stack import Stack


class RestFailure(Exception):
    """The service said no."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.code = body.get("code")


class RestCaller:
    """Calls with the account's own credentials; `path` begins with `/v1`."""

    def __init__(self, stack: Stack) -> None:
        keys = stack.credentials
        self._service = stack.service
        self._authorization = (
            "Basic " + base64.b64encode(f"{keys['account_sid']}:{keys['auth_token']}".encode()).decode()
        )
        # Loopback, whatever proxy the environment names.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __call__(self, method: str, path: str, form: Mapping[str, str | Sequence[str]] | None = None) -> Any:
        """Return the body of a success.

        Raises:
            RestFailure: any other answer.
        """
        data = None if method == "GET" else urllib.parse.urlencode(form or {}, doseq=True).encode()
        request = urllib.request.Request(self._service + path, data, method=method)
        request.add_header("Authorization", self._authorization)
        try:
            with self._opener.open(request, timeout=20) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise RestFailure(error.code, json.load(error)) from None
