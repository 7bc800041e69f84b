"""What the service is told of the videos we look at, and when."""

from appliance.client.hinting import Hinting
from appliance.media_engine import Dimensions
from appliance.signaling.side_channels import RenderHint, RenderHintResults

SMALL, LARGE = Dimensions(width=320, height=180), Dimensions(width=1280, height=720)


def said(hinting: Hinting, now: float) -> tuple[RenderHint, ...] | None:
    message = hinting.next_message(now)
    return message.hints if message else None


def answer(hinting: Hinting, id: int) -> None:
    hinting.answered(RenderHintResults(id=id))


def test_only_what_changed_is_told() -> None:
    hinting = Hinting()
    hinting.wish("MT1", enabled=True, dimensions=SMALL)
    hinting.wish("MT2", enabled=False)
    assert said(hinting, 0) == (
        RenderHint(track="MT1", enabled=True, render_dimensions=SMALL),
        RenderHint(track="MT2", enabled=False),
    )
    answer(hinting, 1)

    hinting.wish("MT1", dimensions=LARGE)
    hinting.wish("MT2", enabled=False)

    assert said(hinting, 1) == (RenderHint(track="MT1", render_dimensions=LARGE),)
    answer(hinting, 2)
    assert said(hinting, 2) is None
    assert hinting.wake_at() == float("inf")


def test_nothing_is_said_while_an_answer_is_outstanding() -> None:
    hinting = Hinting()
    hinting.wish("MT1", enabled=True)
    assert said(hinting, 10) is not None

    hinting.wish("MT1", enabled=False)

    assert said(hinting, 11.9) is None
    answer(hinting, 1)
    assert said(hinting, 11.9) == (RenderHint(track="MT1", enabled=False),)


def test_without_an_answer_everything_is_told_again_after_2_4_and_8_seconds() -> None:
    hinting = Hinting()
    hinting.wish("MT1", enabled=True, dimensions=SMALL)
    everything = said(hinting, 0)

    for at, next_at in ((2, 6), (6, 14), (14, 30)):
        assert said(hinting, at - 0.01) is None
        assert hinting.wake_at() == at
        assert said(hinting, at) == everything
        assert hinting.wake_at() == next_at


def test_an_answer_to_an_older_message_does_not_count() -> None:
    hinting = Hinting()
    hinting.wish("MT1", enabled=True)
    assert said(hinting, 0) is not None
    assert said(hinting, 2) is not None

    answer(hinting, 1)
    assert hinting.wake_at() == 6
    answer(hinting, 2)
    assert hinting.wake_at() == float("inf")


def test_a_new_channel_is_told_everything_at_once_and_a_forgotten_track_not_at_all() -> None:
    hinting = Hinting()
    hinting.wish("MT1", enabled=True, dimensions=SMALL)
    hinting.wish("MT2", enabled=True)
    assert said(hinting, 0) is not None
    hinting.forget("MT2")

    hinting.attached()

    assert said(hinting, 0.1) == (RenderHint(track="MT1", enabled=True, render_dimensions=SMALL),)
