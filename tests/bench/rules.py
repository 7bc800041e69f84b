"""How soon what subscribe rules say reaches the SDK in a browser, beside a request that changes nothing."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from tests.bench.report import markdown, record
from tests.support.browser import Application, application_server, chromium
from tests.support.processes import wait_for
from tests.support.rest_caller import RestCaller
from tests.support.stack import ROOM, running_stack

SMALL = [320, 180, 15]
PATH = f"/v1/Rooms/{ROOM}/Participants/bert/SubscribeRules"
EVERYTHING = [{"type": "include", "all": True}]
NO_VIDEO = [*EVERYTHING, {"type": "exclude", "kind": "video"}]

NOTE_TIMES = """() => {
  window.noted = { trackSubscribed: [], trackUnsubscribed: [], started: [] };
  const note = (name) => window.noted[name].push(Date.now());
  app.room.on('trackUnsubscribed', (track) => { if (track.kind === 'video') note('trackUnsubscribed'); });
  app.room.on('trackSubscribed', (track) => {
    if (track.kind !== 'video') return;
    note('trackSubscribed');
    if (track.isStarted) note('started'); else track.once('started', () => note('started'));
  });
}"""


FRAMES_BETWEEN = 20
"""Of a picture with 15 to 30 frames a second: more than half a second."""


def run(*, seconds: float, write: bool) -> None:
    """Take a video track from a participant and give it back, again and again; both by one POST each."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_stack(Path(folder)) as stack,
        chromium() as browser,
        application_server() as address,
    ):
        stack.start_rooms()
        anna, bert = (Application(browser.new_context().new_page(), address) for _ in range(2))
        anna.join(token=stack.token("anna"), service=stack.service, room=ROOM, size=SMALL)
        bert.join(token=stack.token("bert"), service=stack.service, room=ROOM, media=False, data=False, size=SMALL)
        wait_for("Bert sees Anna", lambda: bert.call("decoded", "anna") > 30)
        bert.page.evaluate(NOTE_TIMES)
        taken = _rounds(RestCaller(stack), bert, seconds)
    least = median(taken["nothing"])
    names = {
        "nothing": "GET the rules, answered",
        "answered": "POST rules, answered",
        "trackUnsubscribed": "`trackUnsubscribed` fires",
        "trackSubscribed": "`trackSubscribed` fires",
        "started": "the picture is there again",
    }
    rows = [
        [text, f"{median(found):.0f} ms", f"{quantiles(found, n=100)[98]:.0f} ms", f"{median(found) / least:.1f}"]
        for text, found in ((text, taken[name]) for name, text in names.items())
    ]
    table = markdown(["since the request was sent", "p50", "p99", "p50 to a GET"], rows)
    record("rules", f"{table}\n\n{len(taken['started'])} rounds.", write=write)


def _rounds(call: RestCaller, bert: Application, seconds: float) -> dict[str, list[float]]:
    """Return the milliseconds that each thing took, of every round."""
    taken: dict[str, list[float]] = {name: [] for name in ("nothing", "answered", *_noted(bert))}
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        taken["nothing"].append(_timed(lambda: call("GET", PATH)))
        for rules, names in ((NO_VIDEO, ("trackUnsubscribed",)), (EVERYTHING, ("trackSubscribed", "started"))):
            sent = time.time() * 1000
            taken["answered"].append(_timed(lambda rules=rules: call("POST", PATH, {"Rules": json.dumps(rules)})))
            for name in names:
                count = len(taken[name]) + 1
                times = wait_for(name, lambda name=name, count=count: _noted(bert)[name][count - 1 :])
                taken[name].append(times[0] - sent)
        # A publisher is asked for at most two key frames a second: each round begins when it may be asked again.
        shown = bert.call("decoded", "anna")
        wait_for("the picture goes on", lambda shown=shown: bert.call("decoded", "anna") > shown + FRAMES_BETWEEN)
    return taken


def _noted(bert: Application) -> dict[str, list[float]]:
    found: dict[str, list[float]] = bert.page.evaluate("window.noted")
    return found


def _timed(action: Callable[[], Any]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000
