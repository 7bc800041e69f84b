"""A room that goes on: a browser, a kiosk and synthetic participants for as long as told; what grows is named.

    ./run bench soak --minutes 30 [--cut 13]

What rooms service, kiosk and browser hold is sampled all along. Some of the people come and go meanwhile. With `--cut`
the kiosk's media goes through a relay of ours, which lets nothing pass for so many seconds, twice. Ends with an error
where something grew after the first quarter, somebody could not join, or the browser saw the kiosk no more. Ctrl-C
ends it early, in order.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.bench import soak_samples
from tests.bench.report import record
from tests.bench.sfu import Engines
from tests.bench.sfu_engines import resident_mb
from tests.bench.sfu_load import Load, Order, Room
from tests.bench.soak_samples import Counter, Sample
from tests.support.browser import Application, application_server, chromium
from tests.support.lossy_relay import Weather
from tests.support.processes import Program, wait_for
from tests.support.signaling_proxy import SignalingProxy, signaling_proxy
from tests.support.stack import KIOSK, ROOM, Stack

KIOSK_ALWAYS = f"""
[join]
mode = "always"
default_room = "{ROOM}"
[video]
source = "test"
[audio]
input = "virtual"
output = "virtual"
[display]
mode = "dummy"
"""
PEOPLE = 2
"""Synthetic participants who stay; one more comes and goes with each sample."""
SAMPLES = 30
LEAST_INTERVAL_S, MOST_INTERVAL_S = 2.0, 60.0
CUTS_AT = (1 / 3, 2 / 3)
PICTURE_WITHIN_S = 45.0
"""How long the kiosk's picture may stand: a session of 30 s that ends, and a new one."""
TELLS_WITHIN_S = 60.0
PROGRAMS = ("rooms service", "kiosk", "browser")
ENDED_EARLY = 128 + signal.SIGINT
REPOSITORY = Path(__file__).parents[2]
PACKETS_JS = """async () => {
  const counts = {};
  for (const report of await window.app.room.getStats())
    for (const track of [...report.remoteVideoTrackStats, ...report.remoteAudioTrackStats])
      counts[`${report.peerConnectionId} ${track.trackSid} ${track.ssrc}`] = track.packetsReceived ?? 0;
  return counts;
}"""


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  whoever waits wants to see that something happens


class CountedStack(Stack):
    """The stack, its programs started so that they can be asked what they hold; the kiosk's way may be another."""

    kiosks_service = ""

    def _add(self, name: str, arguments: list[str], environment: Mapping[str, str] | None = None) -> Program:
        counted = [*arguments[:2], "tests.bench.counted", str(self.figures_path(name)), *arguments[3:]]
        paths = [str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])]
        return super()._add(name, counted, {**(environment or {}), "PYTHONPATH": os.pathsep.join(paths)})

    def kiosk_configuration(self, more: str) -> str:
        return super().kiosk_configuration(more).replace(self.service, self.kiosks_service or self.service)

    def figures_path(self, name: str) -> Path:
        return self.folder / f"{name}.figures.json"

    def sample(self, program: Program, at_s: float) -> Sample:
        """Ask a program and the operating system.

        Raises:
            AssertionError: it does not answer, or is not there any more.
        """
        if not program.running:
            raise AssertionError(f"{program.name} has ended\n{program.tail()}")
        path = self.figures_path(program.name)
        path.unlink(missing_ok=True)
        os.kill(program.pid, signal.SIGUSR2)
        wait_for(f"{program.name} tells its figures", path.exists, within_s=TELLS_WITHIN_S)
        told = json.loads(path.read_text())
        proc = Path(f"/proc/{program.pid}")
        return Sample(
            at_s=at_s,
            rss_mb=resident_mb(program.pid),
            files=len(list((proc / "fd").iterdir())),
            threads=len(list((proc / "task").iterdir())),
            packets=told["packets"],
            tasks=told["tasks"],
            objects=told["objects"],
        )


class Stop:
    """Set by Ctrl-C and by SIGTERM, which reach us alone: what we start is started deaf, and stopped by its pid.

    So nothing is torn away from under whoever is just talking to it.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def end_if_asked(self) -> None:
        """While everybody is still being started. Raise SystemExit."""
        if self.asked:
            sys.exit(ENDED_EARLY)

    def wait(self, seconds: float) -> None:
        """Wait, not beyond the end that was asked for."""
        self._asked.wait(max(0.0, seconds))

    def _take(self, number: int, _: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt  # asked twice: at once
        say(f"{signal.Signals(number).name}: ending")
        self._asked.set()

    @contextmanager
    def listening(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._take) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _InAGroupOfItsOwn(subprocess.Popen[Any]):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **{**named, "process_group": 0})


@contextmanager
def started_deaf() -> Iterator[None]:
    """Let what is started here never hear of Ctrl-C, which a terminal sends to all of a process group.

    A blocked signal stays blocked beyond exec, where the program does not see to it, as that which drives the browser.
    """
    resource_tracker.ensure_running()  # where it is begun with the first process, it unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with patch.object(subprocess, "Popen", _InAGroupOfItsOwn):
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass
class Soak:
    """Everybody who takes part, and what was seen."""

    stack: CountedStack
    engines: Engines
    visiting: Load
    page: Application
    proxy: SignalingProxy | None
    stop: Stop
    began: float = field(default_factory=time.monotonic)
    samples: dict[str, list[Sample]] = field(default_factory=lambda: {name: [] for name in PROGRAMS})
    problems: list[str] = field(default_factory=list)
    decoded: Counter = field(default_factory=Counter)
    visits: int = 0
    is_blind: bool = False
    """The browser sees the kiosk no more: there is nothing to go on for. A visit that fails is told at the end."""
    longest_still_s: float = 0.0
    anew: int = 0
    _packets: Counter = field(default_factory=Counter)
    _shown: int = 0

    @property
    def at_s(self) -> float:
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        say(f"{self.at_s:6.0f} s  {text}")

    def run(self, seconds: float, cut_s: float) -> None:
        """Sample until the time is over or an end is asked for."""
        every_s = max(LEAST_INTERVAL_S, min(MOST_INTERVAL_S, seconds / SAMPLES))
        cuts_at_s = [share * seconds for share in CUTS_AT] if cut_s else []
        self._shown = self.page.call("decoded", KIOSK)
        due = 0.0
        while self.at_s < seconds and not self.stop.asked and not self.is_blind:
            if cuts_at_s and self.at_s >= cuts_at_s[0]:
                cuts_at_s.pop(0)
                self._cut(cut_s)
            self._visit()
            due = max(due + every_s, self.at_s + 1.0)
            self.stop.wait(due - self.at_s)
            if not self.stop.asked:
                self._sample()
                self._look()

    def _visit(self) -> None:
        try:
            self.visiting.begin(order(self.engines, self.stack, "visits", 1))
            self.visiting.mark()
            self.visiting.finish()
        except (RuntimeError, EOFError, OSError) as error:  # TimeoutError is one of the last
            self.problems.append(f"visit {self.visits + 1}, after {self.at_s:.0f} s: {error!r}")
            self.say(self.problems[-1])
        self.visits += 1

    def _sample(self) -> None:
        seen = {
            "rooms service": self.stack.sample(self.stack.rooms, self.at_s),
            "kiosk": self.stack.sample(self.stack.kiosk, self.at_s),
            "browser": soak_samples.of_browser(self.at_s, self._packets.add(self.page.page.evaluate(PACKETS_JS))),
        }
        for name, sample in seen.items():
            self.samples[name].append(sample)
        self.say(" | ".join(soak_samples.line(name, sample) for name, sample in seen.items()))

    def _look(self) -> None:
        """See that the kiosk's picture moves.

        The page counts each track by itself, so that the count begins anew where the kiosk's peer connection was
        replaced. A smaller count than before that goes on growing tells of that; one that does not, of a still picture.
        """
        began = time.monotonic()
        while (shown := int(self.page.call("decoded", KIOSK))) == self._shown or shown == 0:
            if time.monotonic() - began > PICTURE_WITHIN_S:
                events = json.dumps(self.page.events()[-10:])
                self.is_blind = True
                self.problems.append(f"the browser sees the kiosk no more, after {self.at_s:.0f} s: {events}")
                return
            if self.stop.asked:
                return
            self.stop.wait(0.2)
        still_s = time.monotonic() - began
        self.longest_still_s = max(self.longest_still_s, still_s)
        if shown < self._shown:
            self.anew += 1
            self.say("the kiosk's picture began anew")
        if still_s > 1:
            self.say(f"the kiosk's picture stood still for {still_s:.1f} s more")
        self.decoded.add({KIOSK: shown})
        self._shown = shown

    def _cut(self, seconds: float) -> None:
        assert self.proxy is not None
        before = int(self.page.call("decoded", KIOSK))
        self.say(f"the kiosk's media is cut for {seconds:g} s")
        self.proxy.weather(Weather(loss=1.0), all_of_it=True)
        self.stop.wait(seconds)
        self.proxy.weather(Weather(), all_of_it=True)
        self.say("and goes through again")
        self._shown = int(self.page.call("decoded", KIOSK))
        self.anew += self._shown < before
        self._look()

    def report(self) -> str:
        seen = len(self.samples["kiosk"])
        text = (
            f"A browser, a kiosk and {PEOPLE} synthetic participants for {self.at_s / 60:.1f} minutes in one room, one "
            f"more coming and going {self.visits} times; {seen} samples. After the first quarter → at the end:\n\n"
        )
        text += soak_samples.table(self.samples)
        text += (
            f"\n\nThe slope: of a line through the samples after the first quarter. Packets are of media, passed "
            f"on by the service, received by kiosk and browser. The browser decoded {self.decoded.total} frames of the "
            f"kiosk, with {len(self.page.errors)} errors of the page; its count began anew {self.anew} times, and the "
            f"longest that it was seen still is {self.longest_still_s:.1f} s."
        )
        return text


def run(*, minutes: float, cut_s: float = 0.0, seconds: float, write: bool) -> None:
    """Let them talk for so many minutes; `seconds` is not used.

    Raises:
        SystemExit: something grew, somebody could not join, the browser saw nothing any more, or it was ended early.
    """
    del seconds
    stop = Stop()
    with stop.listening(), ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory()))
        soak = _begin(parts, folder, stop, through_relay=cut_s > 0)
        try:
            soak.run(60 * minutes, cut_s)
        except AssertionError as error:
            soak.problems.append(str(error))
        errors = [f"page: {error}" for error in soak.page.errors]
        growth = [f"{name}: {what}" for name in PROGRAMS[:2] for what in soak_samples.grown(soak.samples[name] or ())]
        problems = [*soak.problems, *errors, *growth]
        if soak.problems:
            say(soak.stack.logs())
        record("soak", soak.report(), write=write and not stop.asked)
    if stop.asked:
        sys.exit(ENDED_EARLY)
    if problems:
        raise SystemExit("\n".join(problems))


def _begin(parts: ExitStack, folder: Path, stop: Stop, *, through_relay: bool) -> Soak:
    """Start everybody, one after another; whoever leaves `parts` stops them all."""
    stack = CountedStack(folder)
    parts.callback(stack.close)
    with started_deaf():
        say("rooms service …")
        stack.start_rooms()
    stop.end_if_asked()
    proxy = None
    if through_relay:
        media_port = int(stack.rooms.ready["media_port"])
        proxy = parts.enter_context(signaling_proxy(stack.service, media_port, Weather()))
        stack.kiosks_service = proxy.url
    with started_deaf():
        say("kiosk …")
        stack.start_kiosk(KIOSK_ALWAYS)
    stop.end_if_asked()
    with started_deaf():
        say("browser …")
        browser = parts.enter_context(chromium())
        staying, visiting = Load(), Load()
    parts.callback(staying.close)
    parts.callback(visiting.close)
    stop.end_if_asked()
    page = Application(
        browser.new_context(permissions=["camera", "microphone"]).new_page(),
        parts.enter_context(application_server()),
    )
    page.join(token=stack.token("anna"), service=stack.service, room=ROOM)
    wait_for("the browser shows the kiosk", lambda: page.call("decoded", KIOSK) > 10, within_s=60)
    stop.end_if_asked()
    say("people …")
    engines = Engines(stack, {})
    staying.begin(order(engines, stack, "stays", PEOPLE))
    return Soak(stack, engines, visiting, page, proxy, stop)


def order(engines: Engines, stack: Stack, name: str, people: int) -> Order:
    made = engines.order(engines.names[0], [Room(people)], 0)
    tokens = [stack.token(f"{name}-{number}") for number in range(people)]
    return replace(made, room_names=[ROOM], tokens=tokens, decodable=True)
