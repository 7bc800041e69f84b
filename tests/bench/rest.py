"""REST requests per CPU-second and their latencies with many completed rooms in the store, beside a bare route."""

import asyncio
import base64
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import psutil
import sqlalchemy as sa

from appliance.rooms import credentials
from appliance.rooms.room import RoomSettings, RoomStatus, create_room
from appliance.rooms.store.store import Store
from appliance.rooms.store.tables import room_row, rooms
from appliance.sids import AccountSid, new_room_sid
from tests.bench.report import markdown, record
from tests.support.postgres import Postgres, why_not
from tests.support.processes import Program, wait_for
from tests.support.stack import running_stack

ROOMS_IN_STORE = 100_000
ROOMS_FOR_MEMORY = 10_000
MEMORY_SAMPLES = 4
TRYING_OUT_BELOW_S = 10.0
AT_ONCE = 4
_BATCH = 500


@dataclass(frozen=True)
class Amounts:
    """How many completed rooms are in the store, and how many come and go while memory is watched."""

    in_store: int = ROOMS_IN_STORE
    for_memory: int = ROOMS_FOR_MEMORY


Ask = Callable[[aiohttp.ClientSession], Awaitable[None]]


def run(*, seconds: float, write: bool) -> None:
    """Measure each request for `seconds` / 6; below 10 s with a twentieth of the rooms, to see that it works."""
    trying_out = seconds < TRYING_OUT_BELOW_S
    if trying_out and write:
        raise SystemExit(f"figures are kept from {TRYING_OUT_BELOW_S:g} s on")
    amounts = Amounts(ROOMS_IN_STORE // 20, ROOMS_FOR_MEMORY // 20) if trying_out else Amounts()
    rows = []
    interval_s = max(2.0, seconds / 6)
    with tempfile.TemporaryDirectory() as folder:
        bare = _bare(Path(folder), interval_s)
    rows.append(["bare aiohttp route", *bare[1], "1.00"])
    with tempfile.TemporaryDirectory() as folder:
        rows += _service("SQLite", Path(folder), None, interval_s, bare[0], amounts)
    if reason := why_not():
        rows.append([f"PostgreSQL: {reason}", "", "", "", ""])
    else:
        with tempfile.TemporaryDirectory() as folder, Postgres() as postgres:
            rows += _service("PostgreSQL", Path(folder), postgres.new_database(), interval_s, bare[0], amounts)
    headings = ["request", "per CPU-second", "p50", "p99", "ratio to the bare route"]
    about = f"{amounts.in_store:,} completed rooms in the store; {AT_ONCE} requests at once.\n\n"
    record("rest", about + markdown(headings, rows), write=write)


def _bare(folder: Path, interval_s: float) -> tuple[float, list[str]]:
    where = folder / "bare.address"
    program = Program("bare", [sys.executable, "-m", "tests.bench.bare_route", str(where)], folder)
    program.environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    program.start(wait=False)
    try:
        wait_for("the bare route listens", lambda: where.exists() and where.read_text())
        url = where.read_text()
        return asyncio.run(_measure(program.pid, {}, lambda http: _get(http, url), interval_s))
    finally:
        program.stop()


@contextmanager
def _filled(folder: Path, url: str | None, count: int) -> Iterator[str]:
    """Fill a store with completed rooms of the account; give the configuration that uses it."""
    state = folder / "rooms"
    keys, _ = credentials.load_or_make(state)
    address = url or f"sqlite+aiosqlite:///{state / 'rooms.sqlite3'}"

    async def fill() -> None:
        async with Store(address) as store, store.engine.begin() as connection:
            for first in range(0, count, _BATCH):
                batch = [_completed(keys.account_sid, first + number) for number in range(_BATCH)]
                await connection.execute(sa.insert(rooms), batch)

    asyncio.run(fill())
    yield f'[store]\nurl = "{address}"\n[rooms]\nmax_rooms = 1000000\n'


def _completed(account_sid: AccountSid, number: int) -> dict[str, object]:
    created = datetime.now(UTC) - timedelta(days=20) + timedelta(seconds=number)
    room = create_room(new_room_sid(), account_sid, f"old {number}", RoomSettings(), created).room
    ended = created + timedelta(minutes=5)
    return room_row(room) | {"status": RoomStatus.COMPLETED.value, "ended": ended, "updated": ended}


def _service(
    name: str, folder: Path, url: str | None, interval_s: float, bare: float, amounts: Amounts
) -> list[list[str]]:
    with _filled(folder, url, amounts.in_store) as configuration, running_stack(folder) as stack:
        program = stack.start_rooms(configuration)
        keys = stack.credentials
        pair = f"{keys['account_sid']}:{keys['auth_token']}".encode()
        headers = {"Authorization": "Basic " + base64.b64encode(pair).decode()}
        base = f"{stack.service}/v1/Rooms"
        process = psutil.Process(program.pid)

        async def create(http: aiohttp.ClientSession) -> None:
            async with http.post(base, data={}) as answer:
                assert answer.status == 201, await answer.text()

        async def create_and_complete(http: aiohttp.ClientSession) -> None:
            async with http.post(base, data={}) as answer:
                sid = (await answer.json())["sid"]
            async with http.post(f"{base}/{sid}", data={"Status": "completed"}) as answer:
                assert answer.status == 202, await answer.text()

        sid = asyncio.run(_one_room(headers, base))
        asks: dict[str, Ask] = {
            "fetch": lambda http: _get(http, f"{base}/{sid}"),
            "list 50 completed": lambda http: _get(http, f"{base}?Status=completed&PageSize=50"),
            "create": create,
        }
        found = []
        for what, ask in asks.items():
            rate, figures = asyncio.run(_measure(program.pid, headers, ask, interval_s))
            found.append([f"{name}: {what}", *figures, f"{rate / bare:.3f}"])
        asyncio.run(_repeat(headers, create_and_complete, amounts.for_memory // 10))
        rss = [process.memory_info().rss / 2**20]
        for _ in range(MEMORY_SAMPLES):
            asyncio.run(_repeat(headers, create_and_complete, amounts.for_memory // MEMORY_SAMPLES))
            rss.append(process.memory_info().rss / 2**20)
        course = ", ".join(f"{value:.1f}" for value in rss)
        about = f"{name}: resident memory over {amounts.for_memory:,} rooms created and completed"
        return [*found, [about, f"{rss[-1] - rss[0]:+.1f} MB: {course}", "", "", ""]]


async def _one_room(headers: dict[str, str], base: str) -> str:
    async with aiohttp.ClientSession(headers=headers) as http, http.post(base, data={}) as answer:
        return str((await answer.json())["sid"])


async def _get(http: aiohttp.ClientSession, url: str) -> None:
    async with http.get(url) as answer:
        assert answer.status == 200, await answer.text()
        await answer.read()


async def _measure(pid: int, headers: dict[str, str], ask: Ask, interval_s: float) -> tuple[float, list[str]]:
    """Ask again and again; return the requests per CPU-second of the process, and the figures as text."""
    process = psutil.Process(pid)
    took: list[float] = []
    async with aiohttp.ClientSession(headers=headers) as http:
        for _ in range(20):
            await ask(http)
        before = sum(process.cpu_times()[:2])
        end = time.monotonic() + interval_s

        async def keep_asking() -> None:
            while (began := time.monotonic()) < end:
                await ask(http)
                took.append(time.monotonic() - began)

        await asyncio.gather(*(keep_asking() for _ in range(AT_ONCE)))
        used_s = sum(process.cpu_times()[:2]) - before
    rate = len(took) / used_s
    percentiles = statistics.quantiles(took, n=100)
    return rate, [f"{rate:.0f}", f"{percentiles[49] * 1000:.1f} ms", f"{percentiles[98] * 1000:.1f} ms"]


async def _repeat(headers: dict[str, str], ask: Ask, times: int) -> None:
    left = iter(range(times))

    async def work(http: aiohttp.ClientSession) -> None:
        for _ in left:
            await ask(http)

    async with aiohttp.ClientSession(headers=headers) as http:
        await asyncio.gather(*(work(http) for _ in range(AT_ONCE)))
