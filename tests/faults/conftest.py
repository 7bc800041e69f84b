"""The same whole system as in tests/e2e, to be killed in parts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.stack import Stack, running_stack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running_stack(tmp_path) as running:
        yield running
        # pytest shows it beside a failure only
        print(running.logs())  # noqa: T201
