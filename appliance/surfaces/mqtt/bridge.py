"""The kiosk on a broker: status, state, events, buttons out; commands in. A broker that is away never hurts a call."""

import asyncio
import json
import logging
import random
import secrets
from collections import OrderedDict, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from appliance.broker import Broker, BrokerDown, BrokerRefused, Message
from appliance.clock import Clock, rfc3339
from appliance.errors import CommandRefused
from appliance.kiosk.document import public_document
from appliance.kiosk.effects import Answer, Report
from appliance.kiosk.inputs import Actor, BrokerChanged, IssueSeen
from appliance.kiosk.runner import Kiosk
from appliance.kiosk.settings import MqttSettings
from appliance.kiosk.state import KioskState, Origin, Role
from appliance.surfaces.front_panel import ButtonEvent, FrontPanel
from appliance.surfaces.mqtt.outbox import LOST_AND_TOLD, Event, Outbox, age
from appliance.surfaces.mqtt.topics import (
    REPEAT_WITHIN,
    BadCommand,
    Request,
    Topics,
    answer_payload,
    read_request,
    write,
)

log = logging.getLogger(__name__)

STATE_EVERY_S = 0.5
"""At most two states a second (kiosk.md 10)."""
EVENT_EVERY_S = 1 / 50
"""At most 50 events a second from a backlog (kiosk.md 12)."""
REPLAYED_AFTER = timedelta(seconds=10)
COMMANDS_PER_S = 20
FLEET_SPREAD_S = 5.0
GONE_AFTER_S = 60.0
"""Without a broker for so long it is an issue (kiosk.md 17)."""
LONG_COMMAND_S = 120.0

_AUTOMATION = Actor(origin=Origin.MQTT, role=Role.ADMIN)


@dataclass(slots=True)
class _Answered:
    """A command whose id was seen: its first answer, once there is one."""

    at_s: float
    payload: asyncio.Future[bytes]


class MqttBridge:
    """Satisfies Surface. The broker is opened and closed by whoever builds the parts."""

    name = "mqtt"

    def __init__(
        self,
        broker: Broker,
        settings: MqttSettings,
        device_id: str,
        state_folder: Path,
        clock: Clock,
        front_panel: FrontPanel | None = None,
    ) -> None:
        self._broker, self._settings, self._device_id = broker, settings, device_id
        self.topics = Topics(settings.base_topic, device_id)
        self._clock = clock
        self._outbox_path = state_folder / "outbox.sqlite3"
        self._boot_id = _boot_id()
        self._state_changed = asyncio.Event()
        self._online = asyncio.Event()
        self._answered: OrderedDict[str, _Answered] = OrderedDict()
        self._recent: deque[float] = deque()
        self._kiosk: Kiosk | None = None
        self._tasks: asyncio.TaskGroup | None = None
        broker.on_connected(self._connected)
        broker.on_disconnected(self._disconnected)
        if front_panel is not None:
            front_panel.on_button(self._button)

    async def run(self, kiosk: Kiosk) -> None:
        """Serve until cancelled."""
        self._kiosk = kiosk
        outbox = Outbox(
            self._outbox_path,
            self._clock,
            dropped=self._dropped,
            trouble=lambda code, words: kiosk.submit(IssueSeen(code=code, present=True, subject=words)),
        )
        async with outbox, asyncio.TaskGroup() as tasks:
            self._tasks, self._outbox = tasks, outbox
            forget = [kiosk.watch_reports(self._keep), kiosk.watch(self._note)]
            tasks.create_task(self._publish_states(kiosk), name="mqtt state")
            tasks.create_task(self._publish_events(outbox), name="mqtt events")
            tasks.create_task(self._watch_absence(kiosk), name="mqtt absence")
            try:
                await self._listen()
                if self._broker.connected:
                    await self._connected()
                await asyncio.Event().wait()
            finally:
                self._tasks = None
                for stop in forget:
                    stop()

    # Connecting

    async def _listen(self) -> None:
        for filter in (self.topics.commands, self.topics.fleet_commands):
            with suppress(BrokerRefused):  # an ACL may leave out the fleet's; ours is then told by the log
                await self._broker.subscribe(filter, self._command)

    async def _connected(self) -> None:
        """Say who we are, in the order of kiosk.md 10: subscribed already, status, state; then the backlog."""
        if self._kiosk is None or self._tasks is None:
            return
        with suppress(BrokerRefused):
            await self._broker.publish(self.topics.status, b"online", retain=True)
        self._kiosk.submit(BrokerChanged("connected"))
        self._kiosk.submit(IssueSeen(code="mqtt_disconnected", present=False))
        self._state_changed.set()
        self._online.set()

    def _disconnected(self) -> None:
        self._online.clear()
        if self._kiosk is not None:
            self._kiosk.submit(BrokerChanged("connecting"))

    async def _watch_absence(self, kiosk: Kiosk) -> None:
        while True:
            try:
                async with asyncio.timeout(GONE_AFTER_S):
                    await self._online.wait()
            except TimeoutError:
                kiosk.submit(IssueSeen(code="mqtt_disconnected", present=True, subject=self._broker.last_error or ""))
                await self._online.wait()
            while self._online.is_set():  # noqa: ASYNC110 - there is no event for "cleared"
                await asyncio.sleep(1.0)

    # State

    def _note(self, _: KioskState) -> None:
        self._state_changed.set()

    async def _publish_states(self, kiosk: Kiosk) -> None:
        """Publish the newest state after each change, at most two a second; the last one always."""
        while True:
            await self._online.wait()
            await self._state_changed.wait()
            self._state_changed.clear()
            payload = write(public_document(kiosk.state, self._clock.now()))
            if not await self._sent(self.topics.state, payload, retain=True):
                self._state_changed.set()
            await asyncio.sleep(STATE_EVERY_S)

    # Events

    def _keep(self, report: Report) -> None:
        self._outbox.append(
            Event(
                id=_uuid7(int(self._clock.now().timestamp() * 1000)),
                type=report.type,
                at=rfc3339(self._clock.now()),
                monotonic_ms=int(self._clock.monotonic() * 1000),
                boot_id=self._boot_id,
                data=json.dumps(dict(report.data), ensure_ascii=False),
            )
        )

    def _dropped(self, count: int, first: int, last: int) -> None:
        log.warning("outbox full: %d events dropped, seq %d to %d", count, first, last)
        self._keep(Report(LOST_AND_TOLD, {"count": str(count), "first_seq": str(first), "last_seq": str(last)}))

    async def _publish_events(self, outbox: Outbox) -> None:
        """Oldest first, one at a time, each gone from the card once acknowledged."""
        while True:
            await self._online.wait()
            outbox.stored.clear()
            event = await outbox.head()
            if event is None:
                await outbox.stored.wait()
                continue
            try:
                await self._broker.publish(self.topics.event(event.type), self._event_payload(event))
            except BrokerDown:
                await asyncio.sleep(STATE_EVERY_S)
                continue
            except BrokerRefused as error:
                # One that may not be published must not hold up all that come after it.
                log.error("event %d (%s) is given up: %s", event.seq, event.type, error)
            await outbox.remove(event.seq)
            await asyncio.sleep(EVENT_EVERY_S)

    def _event_payload(self, event: Event) -> bytes:
        return write(
            {
                "v": 1,
                "id": event.id,
                "seq": event.seq,
                "boot_id": event.boot_id,
                "ts": event.at,
                "time_synced": True,
                "monotonic_ms": event.monotonic_ms,
                "device_id": self._device_id,
                "replayed": age(event, self._clock.now()) > REPLAYED_AFTER,
                "type": event.type,
                "data": json.loads(event.data),
            }
        )

    # Buttons

    def _button(self, event: ButtonEvent) -> None:
        """Tell a press; what nobody heard at once is of no use later."""
        if self._tasks is not None and self._online.is_set():
            tree = {"v": 1, "event_type": event.event_type, "action": event.action, "outcome": event.outcome}
            self._tasks.create_task(self._sent(self.topics.button(event.button), write(tree)), name="mqtt button")

    # Commands

    def _command(self, message: Message) -> None:
        """Take a command on the event loop; what is retained is old by definition."""
        if self._tasks is None or self._kiosk is None:
            return
        own = message.topic.startswith(f"{self.topics.prefix}/")
        if message.retain:
            if message.payload:
                log.warning("retained command ignored: %s", message.topic)
                if own:
                    self._tasks.create_task(self._clear(message.topic), name="mqtt clear")
            return
        delay_s = 0.0 if own else random.uniform(0.0, FLEET_SPREAD_S)
        self._tasks.create_task(self._obey(self._kiosk, message, delay_s), name="mqtt command")

    async def _clear(self, topic: str) -> None:
        await self._online.wait()  # it may have come with the subscription, before anything can be sent
        await self._sent(topic, b"", retain=True)

    async def _obey(self, kiosk: Kiosk, message: Message, delay_s: float) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)
        began_s = self._clock.monotonic()
        name = message.topic.rpartition("/")[2][:80]
        try:
            self._check_rate(began_s)
            request = read_request(
                message.topic,
                message.payload,
                message.properties,
                allowed=self._settings.allow_commands,
                now=self._clock.now(),
            )
        except BadCommand as error:
            log.warning("command %s refused: %s", name, error)
            refusal = Answer(id="", ok=False, code=error.code, message=str(error))
            answer_to = error.response_topic or message.properties.get("response_topic")
            await self._answer(name, error.id, refusal, began_s, answer_to, message.properties)
            return
        await self._obey_once(kiosk, request, began_s, message.properties)

    def _check_rate(self, now_s: float) -> None:
        while self._recent and now_s - self._recent[0] > 1.0:
            self._recent.popleft()
        self._recent.append(now_s)
        if len(self._recent) > COMMANDS_PER_S:
            raise BadCommand("rate_limited", f"more than {COMMANDS_PER_S} commands a second")

    async def _obey_once(self, kiosk: Kiosk, request: Request, began_s: float, properties: Mapping[str, Any]) -> None:
        """Do what is asked; an id that was seen lately is answered again instead."""
        seen = self._seen(request, began_s)
        if seen is not None:
            with suppress(TimeoutError):  # the first is not answered either
                async with asyncio.timeout(LONG_COMMAND_S):
                    first = await asyncio.shield(seen.payload)
                await self._send_answer(first, request.response_topic, properties)
            return
        ended: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        waiting_for: list[str] = []

        def outcome(answer: Answer) -> None:
            if answer.id in waiting_for and not ended.done():
                ended.set_result(answer)

        forget = kiosk.watch_outcomes(outcome)
        try:
            answer = await kiosk.command(request.command, _AUTOMATION)
            waiting_for.append(answer.id)
            payload = await self._answer(request.name, request.id, answer, began_s, request.response_topic, properties)
            if request.id is not None and request.id in self._answered:
                self._answered[request.id].payload.set_result(payload)
            if not answer.final:
                async with asyncio.timeout(LONG_COMMAND_S):
                    final = kiosk.outcome(answer.id) or await ended
                await self._answer(request.name, request.id, final, began_s, request.response_topic, properties)
        except CommandRefused as error:
            refusal = Answer(id="", ok=False, code=error.code, message=str(error))
            await self._answer(request.name, request.id, refusal, began_s, request.response_topic, properties)
        except TimeoutError:
            log.warning("command %s: no outcome in %g s", request.name, LONG_COMMAND_S)
        finally:
            forget()

    def _seen(self, request: Request, now_s: float) -> _Answered | None:
        while self._answered:
            oldest = next(iter(self._answered.values()))
            if now_s - oldest.at_s <= REPEAT_WITHIN.total_seconds():
                break
            self._answered.popitem(last=False)
        if request.id is None:
            return None
        seen = self._answered.get(request.id)
        if seen is None:
            self._answered[request.id] = _Answered(now_s, asyncio.get_running_loop().create_future())
        return seen

    async def _answer(
        self,
        name: str,
        id: str | None,
        answer: Answer,
        began_s: float,
        response_topic: str | None,
        properties: Mapping[str, Any],
    ) -> bytes:
        duration_ms = int((self._clock.monotonic() - began_s) * 1000)
        payload = write(answer_payload(name, id, answer, self._clock.now(), duration_ms))
        await self._send_answer(payload, response_topic, properties)
        return payload

    async def _send_answer(self, payload: bytes, response_topic: str | None, properties: Mapping[str, Any]) -> None:
        topic = response_topic or self.topics.response
        if response_topic and not self.topics.may_answer_to(response_topic, self._settings.response_prefixes):
            log.warning("no answer to %s: not among the response topics", response_topic[:80])
            return
        correlation = properties.get("correlation_data")
        await self._sent(topic, payload, properties={"correlation_data": correlation} if correlation else None)

    # Sending

    async def _sent(
        self, topic: str, payload: bytes, *, retain: bool = False, properties: Mapping[str, Any] | None = None
    ) -> bool:
        """Publish and tell whether the broker has it."""
        try:
            await self._broker.publish(topic, payload, retain=retain, properties=properties)
        except BrokerDown:
            return False
        except BrokerRefused as error:
            log.warning("%s: %s", topic, error)
            return False
        return True


def _boot_id() -> str:
    """Return which boot this is, in short: monotonic times compare only within one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        return secrets.token_hex(4)


def _uuid7(unix_ms: int) -> str:
    """Return an id that sorts by time (RFC 9562, 5.7)."""
    value = (unix_ms & (1 << 48) - 1) << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
