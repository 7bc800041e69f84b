"""How much video there is time for."""

from appliance.sfu.pressure import Pressure


def looks(pressure: Pressure, shed: list[int], start: float = 100.0) -> list[bool]:
    """Take these totals, half a second from one to the next."""
    return [pressure.look(total, start + 0.5 * place) for place, total in enumerate(shed)]


def test_where_nothing_is_thrown_away_nothing_is_held_back() -> None:
    pressure = Pressure()

    assert looks(pressure, [0, 0, 0]) == [False] * 3
    assert pressure.is_off


def test_the_share_falls_while_packets_are_thrown_away_and_it_is_said_once() -> None:
    pressure = Pressure()

    assert looks(pressure, [0, 50, 90, 130]) == [False, True, False, False]
    assert pressure.share < 0.35


def test_it_never_falls_to_nothing() -> None:
    pressure = Pressure()

    looks(pressure, list(range(0, 1000, 10)))

    assert 0 < pressure.share < 0.05


def test_it_grows_slowly_once_all_is_calm() -> None:
    pressure = Pressure()
    looks(pressure, [0, 50])
    fallen = pressure.share

    looks(pressure, [50] * 5, start=101.0)
    assert pressure.share == fallen, "not at once"
    looks(pressure, [50] * 4, start=104.0)
    assert fallen < pressure.share < 1.0
    looks(pressure, [50] * 40, start=106.0)
    assert pressure.is_off


def test_looks_that_follow_soon_count_as_one() -> None:
    pressure = Pressure()

    assert not pressure.look(0, 100.0)
    assert not pressure.look(80, 100.1)
    assert pressure.is_off
    assert pressure.look(80, 100.6)
