"""What whoever runs the service asks it: is it ready, and what does it do."""

from ipaddress import ip_network
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from appliance.rooms.gate import GateFigures
from appliance.rooms.metrics import Delivery, Metrics
from appliance.system_clock import SystemClock
from tests.support.rooms_running import microphone, running_rooms


async def test_a_service_that_stops_is_not_ready_for_more(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running, aiohttp.ClientSession() as http:
        async with http.get(f"{running.url}/readyz") as answer:
            assert answer.status == 200
        await running.service.close()
        async with http.get(f"{running.url}/readyz") as answer:
            assert (answer.status, await answer.json()) == (503, {"status": "stopping"})


async def test_figures_tell_who_is_there_to_those_who_may_ask(tmp_path: Path) -> None:
    async with running_rooms(tmp_path) as running:
        await running.client("ann").join("lobby", microphone())
        store, service = running.store, running.service
        request = make_mocked_request("GET", "/metrics")
        here = (ip_network("127.0.0.0/8"),)
        with pytest.raises(web.HTTPForbidden):
            await Metrics(service, store, SystemClock(), lambda: 0, Delivery(), here).handle(request)
        waiting = GateFigures(waiting=2, turned_away=7, lateness_s=0.5)
        anywhere = Metrics(service, store, SystemClock(), lambda: 3, Delivery(), here, lambda: waiting)
        answer = await anywhere.handle(request.clone(remote="127.0.0.1"))

    assert isinstance(answer.body, bytes)
    text = answer.body.decode()
    for line in ("rooms_in_progress 1.0", "participants 1.0", "published_tracks 1.0", "signaling_sockets 3.0"):
        assert f"room_kiosk_{line}" in text
    for line in ("signaling_waiting 2.0", "signaling_busy_total 7.0", "event_loop_late_seconds 0.5"):
        assert f"room_kiosk_{line}" in text
