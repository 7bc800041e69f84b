"""Nothing that reads bytes from outside raises, whatever they are: hypothesis always, libFuzzer with --long."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, Target

SECONDS_EACH = 60


def changed(seed: bytes, random: Random) -> bytes:
    """Return the seed with some of it overwritten, left out or doubled."""
    data = bytearray(seed)
    for _ in range(random.randint(1, 6)):
        place = random.randrange(len(data) + 1)
        match random.randrange(4):
            case 0:
                data[place : place + 1] = random.randbytes(1)
            case 1:
                del data[place : place + random.randint(1, 30)]
            case 2:
                data[place:place] = data[place : place + random.randint(1, 60)]
            case _:
                data[place:place] = random.randbytes(random.randint(1, 9))
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
@settings(max_examples=40, deadline=None)
@given(data=st.binary(max_size=600))
def test_any_bytes(target: Target, data: bytes) -> None:
    target.take(data)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_any_change_to_what_makes_sense(target: Target) -> None:
    random = Random(11)
    for seed in target.seeds:
        target.take(seed)
        for _ in range(120 // len(target.seeds)):
            target.take(changed(seed, random))


@pytest.mark.long
@pytest.mark.timeout(SECONDS_EACH * 4)
@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is not made for this machine or Python"
)
@pytest.mark.parametrize("name", TARGETS)
def test_what_libfuzzer_finds(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "tests.fuzz.under_atheris", name, str(tmp_path), str(SECONDS_EACH)]

    ran = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)

    done = re.search(r"Done (\d+) runs in (\d+) second", ran.stderr)
    failed = [(path.name, path.read_bytes()) for path in tmp_path.glob("failed-*")]
    assert ran.returncode == 0, f"{failed}\n{ran.stderr[-3000:]}"
    assert done is not None
    assert int(done[1]) > 100
    with capsys.disabled():
        print(f"\n{name}: {done[1]} runs in {done[2]} s, {len(list(tmp_path.iterdir()))} inputs kept")  # noqa: T201
