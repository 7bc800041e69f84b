"""`room-kiosk rooms`: the rooms service with the embedded engine."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from random import SystemRandom
from typing import Any

import click

from appliance.broker import Broker, BrokerSettings
from appliance.clock import Clock
from appliance.errors import ConfigurationError
from appliance.journal import set_up_logging
from appliance.programs.ready_file import write_ready_file
from appliance.programs.rooms_admin import VERBS, Place, store_url
from appliance.programs.state_folder import rooms_state_folder
from appliance.rooms import certificates, credentials
from appliance.rooms.callbacks import HttpSink
from appliance.rooms.guests import GuestPage, GuestSettings
from appliance.rooms.ice import TurnServer
from appliance.rooms.metrics import Delivery, Metrics
from appliance.rooms.mqtt_events import DeadLetterSink, MqttSink, node_id, service_status
from appliance.rooms.mqtt_state import RetainedStates, Topics
from appliance.rooms.outbox import Outbox, Sink
from appliance.rooms.parameters import CreationPolicy
from appliance.rooms.rest import RestApi, RestSettings
from appliance.rooms.server import Door, HttpServer, build_app, open_door
from appliance.rooms.service import RoomsService, ServiceSettings
from appliance.rooms.settings import RoomsSettings, networks
from appliance.rooms.sockets import SignalingSockets
from appliance.rooms.store.store import Store, StoreUnavailable
from appliance.settings import load_settings
from appliance.sfu.engine import EmbeddedEngine
from appliance.sfu.media_loop import new_event_loop
from appliance.system_clock import SystemClock
from appliance.web_files import web_folder

BROKER_SESSION_S = 86_400
_PORTS_TO_TRY = 100
_GOODBYE_S = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomsOptions:
    """What a start is told beside rooms.toml. `state` holds the store, credentials and certificate."""

    state: Path
    ready_file: Path | None = None
    port_fallback: bool = False


async def run(settings: RoomsSettings, options: RoomsOptions) -> None:
    """Build every part, serve until SIGTERM or SIGINT, and close in reverse.

    Raises:
        ConfigurationError: something cannot be used: a port, a file, an address.
    """
    clock = SystemClock()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    secrets, made = credentials.load_or_make(options.state)
    async with AsyncExitStack() as parts:
        doors = _open_doors(settings, options, clock, parts)
        engine = await _open_engine(settings, options)
        parts.push_async_callback(engine.close)
        database = Store(store_url(settings, options.state), settings.store.read_deadline_s)
        store = await parts.enter_async_context(database)
        service = RoomsService(_service_settings(settings), secrets, engine, store, clock)
        await service.recover()
        tasks = await parts.enter_async_context(_Tasks())
        tasks.add("store", store.watch())
        tasks.add("deadlines", service.run())
        tasks.add("keys", service.watch_keys())
        delivery = await _deliver(settings, service, store, clock, parts, tasks)
        sockets = SignalingSockets(service, clock, settings.signaling.gate())
        tasks.add("gate", sockets.watch())
        metrics = Metrics(
            service,
            store,
            clock,
            lambda: len(sockets),
            delivery,
            networks(settings.metrics.allow),
            lambda: sockets.gate,
        )
        app = build_app(
            service,
            RestApi(service, _rest_settings(settings), clock),
            GuestPage(service, _guest_settings(settings, doors), clock),
            sockets.handle,
            metrics.handle,
        )
        await parts.enter_async_context(HttpServer(app, list(doors.values())))
        parts.push_async_callback(_say_goodbye, service, sockets)
        # What is here now stays: a collector that walked all of it would hold every packet up for as long.
        gc.collect()
        gc.freeze()
        gc.collect()  # it begins from nothing, and so finds what comes later soon
        _say_where(doors, engine.port, options, made)
        await tasks.until(stop)


async def _say_goodbye(service: RoomsService, sockets: SignalingSockets) -> None:
    """Part with every client within a deadline: systemd and the demo wait three seconds for all of us."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_GOODBYE_S):
            await service.close()
            await sockets.close()


class _Tasks:
    """The tasks that run as long as the service does. One that ends before is a bug, and ends the service."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, name: str, coroutine: Any) -> None:
        self._tasks.append(asyncio.create_task(coroutine, name=name))

    async def until(self, stop: asyncio.Event) -> None:
        """Wait until told to stop; raise what ended a task before that."""
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait([*self._tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        for task in done - {stopping}:
            task.result()
            raise AssertionError(f"{task.get_name()} ended")

    async def __aenter__(self) -> "_Tasks":
        return self

    async def __aexit__(self, *details: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _open_doors(settings: RoomsSettings, options: RoomsOptions, clock: Clock, parts: AsyncExitStack) -> dict[str, Door]:
    """Bind HTTP and HTTPS, as far as they are on."""
    doors: dict[str, Door] = {}
    if settings.server.http:
        doors["http"] = open_door("http", settings.server.http, port_fallback=options.port_fallback)
        parts.callback(doors["http"].socket.close)
    if settings.server.https:
        certificate, key = settings.server.certificate, settings.server.key
        if not certificate or not key:
            addresses = [*settings.media.advertised_addresses, *certificates.own_addresses()]
            certificate, key = certificates.load_or_make(
                options.state, certificates.own_names(), list(dict.fromkeys(addresses)), clock.now()
            )
        tls = certificates.tls_context(certificate, key)
        doors["https"] = open_door("https", settings.server.https, tls, port_fallback=options.port_fallback)
        parts.callback(doors["https"].socket.close)
    return doors


async def _open_engine(settings: RoomsSettings, options: RoomsOptions) -> EmbeddedEngine:
    port = settings.media.port
    last = port + _PORTS_TO_TRY if options.port_fallback and port else port + 1
    for candidate in range(port, last):
        try:
            return await EmbeddedEngine.open(port=candidate, advertised_addresses=settings.media.advertised_addresses)
        except ConfigurationError:
            if candidate == last - 1:
                raise
    raise AssertionError("the last port is tried or raises")


def _service_settings(settings: RoomsSettings) -> ServiceSettings:
    secret = _read_secret("media.turn_secret_file", settings.media.turn_secret_file)
    return ServiceSettings(
        ad_hoc_rooms=settings.rooms.ad_hoc_rooms,
        ad_hoc_settings=settings.rooms.ad_hoc_settings(),
        max_rooms=settings.rooms.max_rooms,
        max_participants=settings.rooms.max_participants_in_account,
        session_timeout_s=settings.signaling.session_timeout_s,
        token_leeway_s=settings.tokens.leeway_s,
        retention_days=settings.store.retention_days,
        ice_servers=settings.media.servers(),
        turn=TurnServer(urls=settings.media.turn_urls, secret=secret) if secret else None,
        events_over_mqtt=settings.mqtt.url is not None,
    )


def _rest_settings(settings: RoomsSettings) -> RestSettings:
    return RestSettings(
        public_base_url=settings.server.public_base_url,
        trusted_proxies=networks(settings.server.trusted_proxies),
        more_info_prefix=settings.server.more_info_prefix,
        rate_limit=settings.server.rate_limit,
        creation=CreationPolicy(
            media_region=settings.rooms.media_region,
            reject_legacy_types=settings.rooms.legacy_room_types == "reject",
            ignore_unsupported=settings.rooms.unsupported_features == "ignore",
        ),
    )


def _guest_settings(settings: RoomsSettings, doors: dict[str, Door]) -> GuestSettings:
    try:
        folder: Path | None = web_folder("guest")
    except FileNotFoundError:
        folder = None
    return GuestSettings(
        folder=folder,
        https_port=doors["https"].port if "https" in doors else None,
        link_hosts=[*settings.media.advertised_addresses, *certificates.own_addresses()],
        public_base_url=settings.server.public_base_url,
        trusted_proxies=networks(settings.server.trusted_proxies),
        more_info_prefix=settings.server.more_info_prefix,
    )


async def _deliver(
    settings: RoomsSettings,
    service: RoomsService,
    store: Store,
    clock: Clock,
    parts: AsyncExitStack,
    tasks: _Tasks,
) -> Delivery:
    """Start the outbox of each sink."""
    sinks: list[Sink] = []
    http = HttpSink(
        lambda: service.keys.primary_token,
        clock,
        allow=networks(settings.callbacks.allow),
        deny=networks(settings.callbacks.deny),
        ca_file=settings.callbacks.ca_file,
    )
    sinks.append(await parts.enter_async_context(http))
    if settings.mqtt.url:
        broker = _broker(settings, settings.mqtt.url, clock.now())
        topics = Topics(settings.mqtt.prefix, service.credentials.account_sid)
        states = RetainedStates(broker, topics, store, service.rooms_now, service.room_now)
        service.on_states(states.changed)
        sinks += [MqttSink(broker, settings.mqtt.prefix, states), DeadLetterSink(broker, topics.dead, store)]
        await parts.enter_async_context(broker)
        tasks.add("retained states", states.run())
    told = settings.mqtt.url is not None
    outboxes = [Outbox(store, sink, clock, SystemRandom(), notices=told and sink is http) for sink in sinks]
    for outbox in outboxes:
        service.on_events(outbox.wake)
        tasks.add(f"{outbox.sink_name} outbox", outbox.run())
    return Delivery(outboxes=tuple(outboxes), http=http)


def _broker(settings: RoomsSettings, url: str, started: datetime) -> Broker:
    """Return the connection of the service, whose presence others see by a retained message (callbacks.md 18)."""
    try:
        username, password = settings.mqtt.credentials()
    except OSError as error:
        raise ConfigurationError([f"mqtt.credential_file: {error.filename}: {error.strerror}"]) from error
    node = node_id()
    online = service_status(settings.mqtt.prefix, node, "online", started)
    broker = Broker(
        BrokerSettings(
            url=url,
            client_id=f"{settings.mqtt.prefix.replace('/', '-')}-{node}",
            username=username,
            password=password,
            ca_file=settings.mqtt.ca_file,
            clean_start=False,
            session_expiry_s=BROKER_SESSION_S,
        ),
        will=service_status(settings.mqtt.prefix, node, "offline", started),
    )

    async def announce() -> None:
        await broker.publish(online.topic, online.payload, qos=1, retain=True, properties=online.properties)

    broker.on_connected(announce)
    return broker


def _read_secret(key: str, path: Path | None) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() if path else None
    except OSError as error:
        raise ConfigurationError([f"{key}: {path}: {error.strerror}"]) from error


def _say_where(doors: dict[str, Door], media_port: int, options: RoomsOptions, made: bool) -> None:
    """Tell people on standard output, and programs by the ready file."""
    keys = options.state / credentials.FILE_NAME
    for door in doors.values():
        click.echo(f"rooms service on {door.url}")
    click.echo(f"media on UDP port {media_port}")
    click.echo(f"account, auth token and API key {'were made and ' if made else ''}are in {keys}")
    sys.stdout.flush()
    addresses = {name: door.url for name, door in doors.items()}
    write_ready_file(options.ready_file, {**addresses, "media_port": media_port, "credentials_file": str(keys)})


def overridden(settings: RoomsSettings, **given: Any) -> RoomsSettings:
    """Return the settings with what the command line says; None leaves a setting as it is."""
    server = replace(settings.server, **{name: given[name] for name in ("http", "https") if given[name] is not None})
    media = settings.media
    if given["media_port"] is not None:
        media = replace(media, port=given["media_port"])
    if given["advertise"]:
        media = replace(media, advertised_addresses=given["advertise"])
    mqtt = settings.mqtt if given["mqtt_url"] is None else replace(settings.mqtt, url=given["mqtt_url"] or None)
    changed = replace(settings, server=server, media=media, mqtt=mqtt)
    problems = [
        f"{part}.{problem.key}: {problem.rule}"
        for part, values in (("server", server), ("media", media))
        for problem in values.problems()
    ]
    if problems:
        raise ConfigurationError(problems)
    return changed


def exit_with_problems(action: Callable[[], None]) -> None:
    """Run; print what is wrong with the configuration, one line each, and exit with 78 (sysexits: EX_CONFIG).

    A database server that is away exits with 75 (EX_TEMPFAIL): the service manager tries again.
    """
    try:
        action()
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        raise SystemExit(78) from None
    except StoreUnavailable as error:
        click.echo(str(error), err=True)
        raise SystemExit(75) from None


@click.group("rooms", invoke_without_command=True)
@click.option(
    "--config", "config", multiple=True, type=click.Path(path_type=Path), help="rooms.toml; several: later win."
)
@click.option("--state-dir", type=click.Path(file_okay=False, path_type=Path), help="Store, keys and certificate.")
@click.option("--http", help='Address and port, "" for off; over the file\'s server.http.')
@click.option("--https", help='Address and port, "" for off; over the file\'s server.https.')
@click.option("--media-port", type=click.IntRange(0, 65_535), help="UDP port of all media; 0: a free one.")
@click.option("--advertise", multiple=True, help="Address that clients send media to; may be repeated.")
@click.option("--mqtt-url", help='Broker for events, mqtt:// or mqtts://; "" for none.')
@click.option("--port-fallback", is_flag=True, help="Take the next free port where one is in use.")
@click.option("--ready-file", type=click.Path(path_type=Path), help="Written, as JSON, once the service answers.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@click.option(
    "--log-format", type=click.Choice(["journal", "plain", "json"]), help="plain on a terminal, else journal."
)
@click.pass_context
def rooms(
    ctx: click.Context,
    config: Sequence[Path],
    state_dir: Path | None,
    http: str | None,
    https: str | None,
    media_port: int | None,
    advertise: tuple[str, ...],
    mqtt_url: str | None,
    port_fallback: bool,
    ready_file: Path | None,
    log_level: Any,
    log_format: Any,
) -> None:
    """Run the rooms service: signaling, REST API, status callbacks, guest page and the embedded media engine.

    At the first start an account with an auth token and an API key is made; credentials.json in the state directory
    holds them. With a verb, administers the service instead: `room-kiosk rooms --state-dir D keys list`.
    """
    state = (state_dir or rooms_state_folder()).absolute()
    if ctx.invoked_subcommand:
        ctx.obj = Place(config=tuple(config), state=state)
        return
    set_up_logging(log_level, log_format or ("plain" if sys.stderr.isatty() else "journal"))

    def start() -> None:
        settings = overridden(
            load_settings(RoomsSettings, config),
            http=http,
            https=https,
            media_port=media_port,
            advertise=advertise,
            mqtt_url=mqtt_url,
        )
        options = RoomsOptions(state=state, ready_file=ready_file, port_fallback=port_fallback)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(run(settings, options))

    exit_with_problems(start)


for _verb in VERBS:
    rooms.add_command(_verb)
