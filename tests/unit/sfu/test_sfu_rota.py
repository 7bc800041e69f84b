"""Whose turn it is."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.sfu.rota import Rota

EVERY_S = 0.05


class Member:
    """Somebody who notes when it had its turns."""

    def __init__(self) -> None:
        self.turns: list[float] = []

    def turn(self, now: float) -> None:
        self.turns.append(now)


def run(rota: Rota, at: list[float]) -> None:
    """Let all have their turn that is due at each of these times."""
    for now in at:
        while (turn := rota.take(now)) is not None:
            turn(now)


def test_a_turn_comes_after_the_usual_time_and_then_again() -> None:
    rota, member = Rota(EVERY_S), Member()
    rota.enter(member.turn, now=10.0)

    run(rota, [10.0, 10.04, 10.06, 10.07, 10.1, 10.12])

    assert member.turns == [10.06, 10.12]


def test_whoever_waits_longest_is_first() -> None:
    rota, early, late = Rota(EVERY_S), Member(), Member()
    rota.enter(early.turn, now=10.0)
    rota.enter(late.turn, now=10.01)

    assert rota.take(10.2) == early.turn
    assert rota.take(10.2) == late.turn
    assert rota.take(10.2) is None


def test_what_was_late_is_not_made_up_for() -> None:
    rota, member = Rota(EVERY_S), Member()
    rota.enter(member.turn, now=10.0)

    run(rota, [12.0, 12.04, 12.06])

    assert member.turns == [12.0, 12.06]


def test_whoever_left_has_no_turn_even_if_it_leaves_in_the_turn_of_another() -> None:
    rota, member = Rota(EVERY_S), Member()
    rota.enter(lambda now: rota.leave(member.turn), now=10.0)
    rota.enter(member.turn, now=10.0)

    run(rota, [10.05, 10.1])
    rota.leave(member.turn)

    assert member.turns == []
    assert len(rota) == 1


def test_it_tells_how_long_to_wait() -> None:
    rota, member = Rota(EVERY_S), Member()
    assert rota.wait_s(10.0) is None

    rota.enter(member.turn, now=10.0)

    assert abs((rota.wait_s(10.02) or 0) - 0.03) < 1e-9
    assert rota.wait_s(11.0) == 0.0


@given(entered=st.lists(st.floats(0, 0.2), min_size=1, max_size=20), step=st.floats(0.001, 0.05))
def test_nobody_waits_longer_than_the_usual_time_and_one_look(entered: list[float], step: float) -> None:
    rota, members = Rota(EVERY_S), [Member() for _ in entered]
    waiting = sorted(zip(entered, members, strict=True), key=lambda pair: pair[0])
    now = 0.0
    while now < 0.5:
        while waiting and waiting[0][0] <= now:
            rota.enter(waiting.pop(0)[1].turn, now)
        run(rota, [now])
        now += step
    for member in members:
        gaps = [after - before for before, after in zip(member.turns, member.turns[1:], strict=False)]
        assert member.turns
        assert all(EVERY_S - 1e-9 <= gap <= EVERY_S + step + 1e-9 for gap in gaps)
