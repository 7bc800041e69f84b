"""The units are read by the service manager's own checker."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.programs_found import program

UNITS = sorted((Path(__file__).parents[2] / "systemd").glob("*.service"))
MOST_EXPOSURE = {"room-kiosk.service": 3.0, "room-kiosk-panel.service": 2.0, "room-kiosk-rooms.service": 2.0}


@pytest.fixture
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy whose program and users exist here, so that only the unit itself is judged."""
    text = request.param.read_text()
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.M)
    text = re.sub(r"^(User|Group|SupplementaryGroups)=.*\n", "", text, flags=re.M)
    path = tmp_path / request.param.name
    path.write_text(text)
    return path


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name, indirect=True)
def test_systemd_finds_no_fault_in_the_unit(unit: Path) -> None:
    result = subprocess.run(
        [program("systemd-analyze"), "verify", "--recursive-errors=yes", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
    )

    complaints = [line for line in result.stderr.splitlines() if unit.name in line]
    assert complaints == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name, indirect=True)
def test_the_unit_exposes_little(unit: Path) -> None:
    result = subprocess.run(
        [program("systemd-analyze"), "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", result.stdout)

    assert found is not None, result.stdout + result.stderr
    assert float(found[1]) <= MOST_EXPOSURE[unit.name]
