"""Programs of the system that tests use: found by name, or the test is skipped with a reason."""

import shutil

import pytest


def program(name: str) -> str:
    """Return the path of a program; skip the test where it is not installed."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def chromium() -> str:
    """Return the path of a Chromium; skip the test where there is none.

    The one without windows goes first: engine, media and network are the same, and a page costs a third of the work.
    """
    return shutil.which("chromium-headless-shell") or program("chromium")
