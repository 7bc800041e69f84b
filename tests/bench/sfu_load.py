"""The load: a process of its own that fills rooms with synthetic participants and counts what they get.

Orders and results are plain values on a pipe, so that the process that measures shares nothing with this one.
"""

import asyncio
import gc
import multiprocessing
import statistics
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as PipeEnd
from random import Random
from typing import Any, Literal

from tests.bench.sfu_seats import Janus, JanusSeat, NotLetInError, OurSeat, Seat
from tests.bench.sfu_streams import ESTIMATE_BPS, PLAIN, SIMULCAST, Receiving, Sending, SentTimes, recorded_video
from tests.support.conditions import until

SETTLE_S = 1.5
_ALL_FLOWS_WITHIN_S = 30.0
_ENTER_TRIES = 3
_REST_S = 0.3
_REST_WITHIN_S = 2.0
"""How long what is under way may still come. Longer than a browser waits for sound, by far."""


@dataclass(frozen=True)
class Room:
    """So many who publish, so many who only watch. Everybody receives all others."""

    publishers: int
    watchers: int = 0

    @property
    def fan_out(self) -> int:
        return self.publishers + self.watchers - 1


@dataclass(frozen=True)
class Order:
    """Fill these rooms at an engine, let it run in, measure for `seconds`.

    `tokens` are one for each participant, room by room, publishers first; Janus needs none. `address` is
    where the participants of Janus are; `estimate_bps` what each says it can take in; `decodable`:
    send what a decoder can show. `together`: nobody sends before all are in, and it is measured even where not
    everything flows then, since the machine is full.
    """

    engine: Literal["ours", "janus"]
    url: str
    rooms: Sequence[Room]
    seconds: float
    room_names: Sequence[str] = ()
    tokens: Sequence[str] = ()
    simulcast: bool = False
    settle_s: float = SETTLE_S
    address: str = ""
    estimate_bps: int = ESTIMATE_BPS
    decodable: bool = False
    together: bool = False


@dataclass(frozen=True)
class Outcome:
    """What the participants saw of what was sent in the measured seconds; latencies in ms, empty where nothing came.

    `late_ms`: by how much the load fell behind its own schedule.
    """

    seconds: float
    sent: int
    expected: int
    delivered: int
    resent: int
    audio_expected: int
    audio_delivered: int
    latency_ms: Mapping[str, float]
    late_ms: Mapping[str, float]
    feedback: Mapping[str, int] = field(default_factory=dict)

    @property
    def delivered_per_s(self) -> float:
        return self.delivered / self.seconds

    @property
    def share(self) -> float:
        return self.delivered / self.expected if self.expected else 0.0

    @property
    def audio_share(self) -> float:
        return self.audio_delivered / self.audio_expected if self.audio_expected else 0.0


class Load:
    """Runs in a child process; the parent talks to it by `begin`, `measure` and `finish`."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def _ask(self, word: str, value: object = None) -> Any:
        self._pipe.send((word, value))
        if not self._pipe.poll(180):
            raise TimeoutError(f"the load did not answer to {word!r}")
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def begin(self, order: Order) -> None:
        """Return when everybody is in and receives everybody."""
        self._ask("begin", order)

    def mark(self) -> None:
        """Begin to count."""
        self._ask("mark")

    def finish(self) -> Outcome:
        """Stop counting and return what was seen; everybody leaves."""
        outcome: Outcome = self._ask("finish")
        return outcome

    def close(self) -> None:
        self._pipe.send(("end", None))
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()


def _serve(pipe: PipeEnd) -> None:
    asyncio.run(_obey(pipe))


async def _obey(pipe: PipeEnd) -> None:
    loop = asyncio.get_running_loop()
    running: _Running | None = None
    orders: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    def arrived() -> None:
        try:
            orders.put_nowait(pipe.recv())
        except EOFError:  # who gave the orders was killed
            loop.remove_reader(pipe.fileno())
            orders.put_nowait(("end", None))

    loop.add_reader(pipe.fileno(), arrived)
    while True:
        word, value = await orders.get()
        try:
            if word == "begin":
                running = _Running(value)
                await running.begin()
                pipe.send("ready")
            elif word == "mark" and running is not None:
                await running.mark()
                pipe.send("counting")
            elif word == "finish" and running is not None:
                outcome = await running.outcome()
                await running.end()
                pipe.send(outcome)
            else:
                break
        except Exception as error:  # noqa: BLE001  # the parent raises it
            if running is not None:
                await running.end()
            pipe.send(RuntimeError(f"{word}: {error!r}"))
    loop.remove_reader(pipe.fileno())
    if running is not None:
        await running.end()


class _Running:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._times = SentTimes()
        self._rooms: list[list[Seat]] = []
        self._janus: Janus | None = None
        nothing = [0] * len(order.rooms)
        self._before = _Counts(0.0, nothing, nothing, 0, 0, 0)
        self._late_ns = array("q")

    @property
    def _seats(self) -> list[Seat]:
        return [seat for room in self._rooms for seat in room]

    @property
    def _receiving(self) -> list[Receiving]:
        return [seat.receiving for seat in self._seats if seat.receiving is not None]

    @property
    def _sending(self) -> list[Sending]:
        return [seat.sending for seat in self._seats if seat.sending is not None]

    async def begin(self) -> None:
        if self._order.engine == "ours":
            await self._fill_ours()
        else:
            await self._fill_janus()
        for sending in self._sending:
            sending.flow()
        try:
            await until("everybody receives everybody", self._all_flow, within_s=_ALL_FLOWS_WITHIN_S)
        except AssertionError:
            if not self._order.together:
                raise
        await asyncio.sleep(self._order.settle_s)
        gc.collect()
        gc.freeze()

    def _all_flow(self) -> bool:
        for order, room in zip(self._order.rooms, self._rooms, strict=True):
            for seat in room:
                others = order.publishers - (seat.sending is not None)
                # Of simulcast an engine may leave out what an estimate does not allow; sound always comes.
                streams = others if self._order.simulcast else 2 * others
                if seat.receiving is not None and len(seat.receiving.by_ssrc) < streams:
                    return False
        return True

    async def _fill_ours(self) -> None:
        tokens = iter(self._order.tokens)
        number = 0
        layers = SIMULCAST if self._order.simulcast else PLAIN
        estimate_bps = self._order.estimate_bps
        recorded = recorded_video() if self._order.decodable else []
        for order, name in zip(self._order.rooms, self._order.room_names, strict=True):
            seats: list[Seat] = []
            self._rooms.append(seats)
            for place in range(order.publishers + order.watchers):
                token = next(tokens)
                mine = layers if place < order.publishers else ()
                for attempt in range(1, _ENTER_TRIES + 1):
                    seat = OurSeat(self._order.url, token, name, self._times, number, mine, estimate_bps, recorded)
                    number += 1
                    seats.append(seat)
                    try:
                        await seat.enter()
                        break
                    except NotLetInError:  # a disk that others keep busy is no finding of this measurement
                        if attempt == _ENTER_TRIES:
                            raise
                        seats.remove(seat)
                        await seat.close()
                if seat.sending is not None and not self._order.together:
                    seat.sending.flow()

    async def _fill_janus(self) -> None:
        self._janus = await Janus(self._order.url).__aenter__()
        control = await self._janus.attach()
        random = Random()
        number = 0
        for order in self._order.rooms:
            room = random.getrandbits(31)
            await self._janus.message(control, {"request": "create", "room": room, "publishers": 100})
            seats = [
                JanusSeat(self._janus, room, self._times, number + place, self._order.address)
                for place in range(order.fan_out + 1)
            ]
            number += len(seats)
            self._rooms.append(list(seats))
            feeds = await asyncio.gather(*(seat.publish(PLAIN) for seat in seats[: order.publishers]))
            others = [[feed for other, feed in enumerate(feeds) if other != place] for place in range(len(seats))]
            await asyncio.gather(*(seat.subscribe(o) for seat, o in zip(seats, others, strict=True) if o))

    async def mark(self) -> None:
        await self._come_to_rest()
        for receiving in self._receiving:
            receiving.measuring = True
        self._before = self._counts()
        for sending in self._sending:
            sending.late_ns = self._late_ns
            sending.flow()

    async def _come_to_rest(self) -> None:
        """Stop sending, and wait for what is under way: so that the counts of both ends are of the same packets."""
        for sending in self._sending:
            sending.pause()
        loop = asyncio.get_running_loop()
        began = changed_at = loop.time()
        seen = -1
        while loop.time() - changed_at < _REST_S and loop.time() - began < _REST_WITHIN_S:
            counts = self._counts()
            if counts.delivered != seen:
                seen, changed_at = counts.delivered, loop.time()
            if counts.delivered - self._before.delivered >= self._fanned_out(self._before.sent, counts.sent):
                return
            await asyncio.sleep(0.02)

    def _counts(self) -> "_Counts":
        receiving = self._receiving
        sending = [[seat.sending for seat in room if seat.sending is not None] for room in self._rooms]
        return _Counts(
            at=asyncio.get_running_loop().time(),
            sent=[sum(s.sent for s in room) for room in sending],
            audio_sent=[sum(len(s.audio.times) for s in room) for room in sending],
            delivered=sum(r.count for r in receiving),
            audio_delivered=sum(r.audio for r in receiving),
            resent=sum(r.resent for r in receiving),
        )

    async def outcome(self) -> Outcome:
        ended = asyncio.get_running_loop().time()
        await self._come_to_rest()
        before, after = self._before, self._counts()
        latencies = sorted(value / 1e6 for receiving in self._receiving for value in receiving.latencies_ns)
        feedback: dict[str, int] = {}
        for seat in self._seats:
            if seat.sending is not None:
                for name, times in seat.sending.heard.items():
                    feedback[name] = feedback.get(name, 0) + times
        return Outcome(
            seconds=ended - before.at,
            sent=sum(after.sent) - sum(before.sent),
            expected=self._fanned_out(before.sent, after.sent),
            delivered=after.delivered - before.delivered,
            resent=after.resent - before.resent,
            audio_expected=self._fanned_out(before.audio_sent, after.audio_sent),
            audio_delivered=after.audio_delivered - before.audio_delivered,
            latency_ms=_quantiles(latencies),
            late_ms=_quantiles(sorted(value / 1e6 for value in self._late_ns)),
            feedback=feedback,
        )

    def _fanned_out(self, before: Sequence[int], after: Sequence[int]) -> int:
        return sum((b - a) * room.fan_out for a, b, room in zip(before, after, self._order.rooms, strict=True))

    async def end(self) -> None:
        gc.unfreeze()
        rooms, self._rooms = self._rooms, []
        await asyncio.gather(*(seat.close() for room in rooms for seat in room), return_exceptions=True)
        if self._janus is not None:
            await self._janus.__aexit__(None, None, None)
            self._janus = None


@dataclass(frozen=True)
class _Counts:
    """Totals since the load began; what was sent is by room."""

    at: float
    sent: Sequence[int]
    audio_sent: Sequence[int]
    delivered: int
    audio_delivered: int
    resent: int


def _quantiles(ordered: Sequence[float]) -> dict[str, float]:
    if not ordered:
        return {}
    return {"p50": statistics.median(ordered), "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]}
