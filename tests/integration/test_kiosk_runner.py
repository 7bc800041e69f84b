"""inbox → step → do → show."""

import asyncio
import threading

from appliance.kiosk.effects import Answer, Report
from appliance.kiosk.inputs import IssueSeen, Join, Leave, SetSpeaker
from appliance.kiosk.state import KioskState, Phase
from tests.support.conditions import until
from tests.support.kiosk_running import running_kiosk
from tests.support.kiosk_story import AUTOMATION, FINGER


async def test_who_watches_gets_the_state_now_and_each_that_follows() -> None:
    async with running_kiosk() as (kiosk, _):
        seen: list[KioskState] = []
        stop = kiosk.watch(seen.append)
        await kiosk.command(Join(), FINGER)
        await until("in the room", lambda: kiosk.state.phase is Phase.IN_ROOM)
        phases = [state.phase for state in seen]
        assert (phases[0], phases[-1]) == (Phase.IDLE, Phase.IN_ROOM)
        assert [state.rev for state in seen] == list(range(seen[0].rev, seen[0].rev + len(seen)))
        stop()
        await kiosk.command(Leave(), FINGER)
        await until("idle", lambda: kiosk.state.phase is Phase.IDLE)
        assert len(seen) == len(phases)


async def test_what_changes_nothing_is_not_shown() -> None:
    async with running_kiosk() as (kiosk, _):
        before = kiosk.state.rev
        await kiosk.command(SetSpeaker(volume=kiosk.state.speaker.volume), FINGER)
        await kiosk.command(SetSpeaker(volume=kiosk.state.speaker.volume), FINGER)
        assert kiosk.state.rev <= before + 1  # the first one changed the origin


async def test_inputs_of_other_threads_are_decided_on_the_loop() -> None:
    async with running_kiosk() as (kiosk, _):
        codes = [f"code_{number}" for number in range(50)]
        threads = [threading.Thread(target=kiosk.submit, args=(IssueSeen(code=code, present=True),)) for code in codes]
        for thread in threads:
            thread.start()
        await until("all there", lambda: {issue.code for issue in kiosk.state.issues} == set(codes))
        for thread in threads:
            thread.join()


async def test_a_long_command_is_answered_at_once_and_its_outcome_told_later() -> None:
    async with running_kiosk() as (kiosk, stage):
        stage.answers = False
        outcomes: list[Answer] = []
        kiosk.watch_outcomes(outcomes.append)
        answer = await kiosk.command(Join(), FINGER)
        assert (answer.ok, answer.final) == (True, False)
        assert kiosk.outcome(answer.id) is None
        await kiosk.command(Leave(), FINGER)
        await until("told", lambda: any(outcome.id == answer.id for outcome in outcomes))
        outcome = kiosk.outcome(answer.id)
        assert outcome is not None
        assert outcome.code == "cancelled"


async def test_a_refusal_is_final() -> None:
    async with running_kiosk() as (kiosk, _):
        answer = await kiosk.command(Join(room="x" * 3), AUTOMATION)
        assert answer.ok
        refused = await kiosk.command(Join(room="other"), AUTOMATION)
        assert (refused.ok, refused.final, refused.code) == (False, True, "busy")


async def test_reports_reach_whoever_keeps_them() -> None:
    async with running_kiosk() as (kiosk, _):
        kept: list[Report] = []
        kiosk.watch_reports(kept.append)
        await kiosk.command(Join(), FINGER)
        await until("told", lambda: [each for each in kept if each.data.get("to") == "in_room"])
        assert [each.type for each in kept if each.type == "kiosk-command"] == ["kiosk-command"]


async def test_a_submit_after_the_end_is_nothing() -> None:
    async with running_kiosk() as (kiosk, _):
        pass
    await asyncio.sleep(0)
    kiosk.submit(IssueSeen(code="late", present=True))
