"""`/metrics`: what Prometheus scrapes (callbacks.md 11, rest.md 17)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from appliance import __version__
from appliance.clock import Clock
from appliance.rooms.addresses import Network, is_within
from appliance.rooms.callbacks import HttpSink
from appliance.rooms.gate import GateFigures
from appliance.rooms.outbox import Outbox
from appliance.rooms.service import RoomsService
from appliance.rooms.store.deliveries import QueueFigures, queue_figures
from appliance.rooms.store.store import Store, StoreUnavailable

PREFIX = "room_kiosk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The outboxes that run."""

    outboxes: tuple[Outbox, ...] = ()
    http: HttpSink | None = None


class Metrics:
    """Gathers figures when asked for them; counts nothing itself."""

    def __init__(
        self,
        service: RoomsService,
        store: Store,
        clock: Clock,
        sockets: Callable[[], int],
        delivery: Delivery,
        allow: tuple[Network, ...],
        gate: Callable[[], GateFigures] = GateFigures,
    ) -> None:
        self._service = service
        self._store = store
        self._clock = clock
        self._sockets = sockets
        self._delivery = delivery
        self._allow = allow
        self._gate = gate

    async def handle(self, request: web.Request) -> web.Response:
        """Answer those who may ask; nobody else learns that there is something."""
        if not is_within(request.remote or "", self._allow):
            raise web.HTTPForbidden
        queues: list[QueueFigures] = []
        try:
            async with self._store.read() as connection:
                queues = await queue_figures(connection)
        except StoreUnavailable:
            queues = []  # `room_kiosk_store_healthy` tells
        registry = CollectorRegistry()
        registry.register(_Figures(lambda: self._figures(queues)))
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _figures(self, queues: list[QueueFigures]) -> Iterable[Metric]:
        rooms = self._service.rooms_now()
        yield _gauge("rooms_in_progress", "Rooms in progress.", len(rooms))
        yield _gauge("participants", "Participants in rooms.", sum(len(room.participants) for room in rooms))
        tracks = sum(room.published_tracks for room in rooms)
        yield _gauge("published_tracks", "Tracks that participants publish.", tracks)
        yield _gauge("signaling_sockets", "Open signaling sockets.", self._sockets())
        gate = self._gate()
        yield _gauge("signaling_waiting", "Newcomers who wait on an open socket.", gate.waiting)
        turned_away = CounterMetricFamily(f"{PREFIX}_signaling_busy", "How often a newcomer was told to wait.")
        turned_away.add_metric([], gate.turned_away)
        yield turned_away
        yield _gauge("event_loop_late_seconds", "How late everything comes, about two seconds' mean.", gate.lateness_s)
        yield _gauge("store_healthy", "1 while the store can be written.", int(self._store.healthy))
        damaged = self._service.damaged_rows
        yield _gauge("store_damaged_rows", "Rows that could not be read at the start; the log names them.", damaged)
        build = GaugeMetricFamily(f"{PREFIX}_build_info", "The version that runs.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build
        yield from self._callbacks(queues)

    def _callbacks(self, queues: list[QueueFigures]) -> Iterable[Metric]:
        delivered = CounterMetricFamily(f"{PREFIX}_callbacks_delivered", "Events delivered.", labels=["sink"])
        dead = CounterMetricFamily(f"{PREFIX}_callbacks_dead", "Events given up.", labels=["sink"])
        attempts = CounterMetricFamily(f"{PREFIX}_callbacks_attempts", "Attempts.", labels=["sink", "class"])
        for outbox in self._delivery.outboxes:
            delivered.add_metric([outbox.sink_name], outbox.figures.delivered)
            dead.add_metric([outbox.sink_name], outbox.figures.dead)
            for kind, count in outbox.figures.attempts.items():
                attempts.add_metric([outbox.sink_name, kind], count)
        depth = GaugeMetricFamily(f"{PREFIX}_callbacks_queue_depth", "Events that wait.", labels=["sink"])
        oldest = GaugeMetricFamily(f"{PREFIX}_callbacks_oldest_seconds", "Age of the oldest.", labels=["sink"])
        waiting = {figures.sink: figures for figures in queues}
        for outbox in self._delivery.outboxes:
            figures = waiting.get(outbox.sink_name)
            age_s = (self._clock.now() - figures.oldest).total_seconds() if figures else 0.0
            depth.add_metric([outbox.sink_name], figures.depth if figures else 0)
            oldest.add_metric([outbox.sink_name], age_s)
        yield from (delivered, dead, attempts, depth, oldest)
        open_breakers = self._delivery.http.open_breakers if self._delivery.http else 0
        yield _gauge("callbacks_breaker_open", "Receivers that fail all the time.", open_breakers)


class _Figures(Collector):
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", what, value=value)
