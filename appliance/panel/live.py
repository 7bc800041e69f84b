"""Server-Sent Events: what changed, as soon as it did (kiosk.md 9).

Events: `state` (id = revision, data = the whole state document), `outcome` (how a command ended) and `kiosk`
(`{"answers": bool}`, when the process goes silent or is back). The first one is `state`, or `kiosk` while silent.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flask import Blueprint, Response, current_app

from appliance.panel.kiosk import Kiosk, Snapshot
from appliance.panel.problems import Problem
from appliance.panel.settings import PanelSettings

live = Blueprint("live", __name__)

RETRY_MS = 2000
"""After how long the browser opens the next stream when one ended."""
SLICE_S = 1.0


class Streams:
    """How many streams are open. They may never use up the threads that answer requests."""

    def __init__(self, most: int) -> None:
        self._free = threading.BoundedSemaphore(most) if most else None

    def take(self) -> None:
        """Raise Problem `unavailable` when all places are taken."""
        if self._free is None or not self._free.acquire(blocking=False):
            raise Problem("unavailable", "Too many pages are watching; ask for the state instead.", retry_after_s=15)

    def give_back(self) -> None:
        if self._free is not None:
            self._free.release()


@live.get("/api/v1/events")
def events() -> Response:
    """Open a stream. `Last-Event-ID` changes nothing: each `state` is whole, the newest is all that was missed."""
    settings: PanelSettings = current_app.extensions["settings"]
    streams: Streams = current_app.extensions["streams"]
    kiosk: Kiosk = current_app.extensions["kiosk"]
    streams.take()
    body = _Stream(stream(kiosk, settings, time.monotonic), streams.give_back)
    return Response(
        body, mimetype="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


class _Stream:
    """An iterator whose place is given back even if nobody ever reads from it."""

    def __init__(self, chunks: Iterator[str], give_back: Callable[[], None]) -> None:
        self._chunks = chunks
        self._give_back: Callable[[], None] | None = give_back

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self._chunks)

    def close(self) -> None:
        if self._give_back is not None:
            self._give_back()
            self._give_back = None


def stream(kiosk: Kiosk, settings: PanelSettings, now: Callable[[], float]) -> Iterator[str]:
    """Yield what one stream sends, until its time is over or the panel closes."""
    ends_at = now() + settings.stream_s
    seen = kiosk.snapshot()
    heard = _newest_outcome(seen)
    yield f"retry: {RETRY_MS}\n\n" + _greeting(seen)
    comment_at = now() + settings.comment_every_s
    while now() < ends_at:
        newer = kiosk.wait_for_change(seen.version, max(0.0, min(SLICE_S, comment_at - now(), ends_at - now())))
        if newer.closing:
            return
        chunk = _difference(seen, newer, heard)
        seen, heard = newer, _newest_outcome(newer)
        if chunk:
            yield chunk
        elif now() >= comment_at:
            yield ": still here\n\n"
        else:
            continue
        comment_at = now() + settings.comment_every_s


def _greeting(seen: Snapshot) -> str:
    return (_state(seen) if seen.state is not None and seen.answering else "") or _kiosk(seen)


def _difference(before: Snapshot, after: Snapshot, heard: int) -> str:
    chunk = ""
    if after.answering != before.answering:
        chunk += _kiosk(after)
    if after.answering and (after.state is not before.state or not before.answering):
        chunk += _state(after)
    for outcome in after.outcomes:
        if outcome.number > heard:
            chunk += _event("outcome", outcome.document)
    return chunk


def _newest_outcome(snapshot: Snapshot) -> int:
    return snapshot.outcomes[-1].number if snapshot.outcomes else 0


def _state(snapshot: Snapshot) -> str:
    return _event("state", snapshot.state or {}, event_id=snapshot.rev)


def _kiosk(snapshot: Snapshot) -> str:
    return _event("kiosk", {"answers": snapshot.answering})


def _event(name: str, data: Mapping[str, Any], event_id: int | None = None) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"event: {name}\n" + (f"id: {event_id}\n" if event_id is not None else "") + f"data: {text}\n\n"
