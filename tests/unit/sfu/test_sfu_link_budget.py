"""What may be sent to a subscriber, read from its estimates, against a line whose width the test knows."""

from dataclasses import dataclass, field
from random import Random

import pytest

from appliance.sfu.downlink import Downlink, SentTotals
from appliance.sfu.link_budget import START_BPS, LinkBudget
from appliance.sfu.rtcp import BitrateEstimate, ReceptionReport

TICK_S = 0.25


@dataclass
class Line:
    """A line of some width, and a browser at its end.

    Its estimate grows by some percent a second, never beyond 1.5 times what arrives, and falls to 0.85 of what arrives
    when more is sent than fits (goog_cc's AimdRateControl, as it was read and as it was seen in Chromium 156).
    """

    width_bps: float
    wanted_bps: float = 2_000_000.0
    steps: tuple[float, ...] = (100_000, 200_000, 500_000, 900_000, 2_000_000)
    budget: LinkBudget = field(default_factory=LinkBudget)
    now: float = 100.0
    estimate: float | None = None
    sending: float = 100_000.0
    overloaded_s: float = 0.0
    noise: Random | None = None

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.tick()

    def tick(self) -> None:
        self.now += TICK_S
        affordable = [step for step in self.steps if 1.15 * step <= self.budget.allowed_bps]
        if self.sending > self.budget.allowed_bps or (affordable and affordable[-1] > self.sending):
            self.sending = affordable[-1] if affordable else self.steps[0]
        sent = self.sending + self.budget.padding_bps
        arriving = min(sent, self.width_bps)
        if sent > self.width_bps:
            self.overloaded_s += TICK_S
            self.told(min(self.estimate or 0.85 * arriving, 0.85 * arriving))
            self.budget.lost(1 - arriving / sent, self.now)
        else:
            grown = (self.estimate or arriving) * (1 + 0.06 * TICK_S)
            self.told(max(self.estimate or 0.0, min(grown, 1.5 * arriving)))
            self.budget.lost(0.0, self.now)
        dearer = [step for step in self.steps if step > self.sending]
        self.budget.update(
            self.sending,
            self.budget.padding_bps,
            1.15 * self.wanted_bps,
            1.15 * dearer[0] if dearer else None,
            self.now,
        )

    def told(self, estimate: float) -> None:
        if self.noise is not None and self.noise.random() < 0.02:
            estimate *= 0.85  # a browser on a busy machine sees congestion where none is
        self.estimate = estimate
        self.budget.estimated(estimate, self.now)


def test_the_first_pictures_are_not_held_back() -> None:
    budget = LinkBudget()
    assert budget.allowed_bps == START_BPS
    budget.update(400_000, 0, 2_000_000, None, 1.0)
    budget.estimated(250_000, 1.0)  # the first one, of what came so far
    assert budget.allowed_bps == START_BPS


def test_a_wide_line_is_found_by_probing() -> None:
    line = Line(width_bps=10_000_000, wanted_bps=5_000_000, steps=(100_000, 1_000_000, 5_000_000))
    line.run(15)
    assert line.sending == 5_000_000
    assert line.overloaded_s == 0
    assert not line.budget.is_congested


@pytest.mark.parametrize("width", [150_000, 300_000, 700_000, 1_200_000])
def test_a_narrow_line_is_not_kept_full_and_is_used(width: float) -> None:
    line = Line(width_bps=width)
    line.run(10)
    line.overloaded_s = 0.0
    line.run(120)
    largest = max(step for step in line.steps if step <= width or step == line.steps[0])
    assert line.sending <= largest
    assert line.sending >= max(step for step in line.steps if 1.15 * step <= 0.8 * width or step == line.steps[0])
    assert line.overloaded_s < 0.12 * 120, "probes are short and seldom"


def test_a_line_that_becomes_narrow_is_left_at_once_and_found_again() -> None:
    line = Line(width_bps=10_000_000)
    line.run(20)
    before = line.sending
    assert before == 2_000_000
    line.width_bps = 300_000
    line.run(1.5)
    assert line.sending <= 300_000
    assert line.budget.is_congested
    line.run(30)
    line.width_bps = 10_000_000
    line.run(25)
    assert line.sending == 2_000_000
    assert line.budget.allowed_bps >= 2_300_000


def test_false_alarms_do_not_bring_a_good_line_down() -> None:
    line = Line(width_bps=10_000_000, noise=Random(3))
    line.run(20)
    low, passed = 0.0, 0.0
    while passed < 120:
        line.tick()
        passed += TICK_S
        low += TICK_S * (line.sending < 2_000_000)
    assert low < 0.25 * passed


def test_an_estimate_that_only_lags_takes_nothing_away() -> None:
    budget = LinkBudget()
    for number in range(20):
        budget.update(700_000, 0, 800_000, None, number / 4)
        budget.estimated(100_000 * 1.02**number, number / 4)
    assert budget.allowed_bps == START_BPS
    assert not budget.is_congested


def test_a_fall_of_an_estimate_that_never_came_near_what_flows_says_nothing() -> None:
    budget = LinkBudget()
    budget.update(90_000, 0, 200_000, None, 1.0)
    budget.estimated(14_000, 1.0)
    budget.estimated(5_000, 2.0)
    assert budget.allowed_bps == START_BPS


def test_much_loss_counts_even_where_no_estimate_comes() -> None:
    budget = LinkBudget()
    budget.update(1_000_000, 0, 2_000_000, None, 1.0)
    budget.lost(0.2, 1.0)
    after_one = budget.is_congested
    budget.lost(0.2, 2.0)
    assert (after_one, budget.is_congested) == (False, True), "one report may be chance"
    assert budget.allowed_bps == pytest.approx(800_000)


def test_a_little_loss_takes_nothing_away_but_stops_a_probe() -> None:
    budget = LinkBudget(proven_bps=200_000)
    budget.update(150_000, 0, 900_000, 300_000, 10.0)
    assert budget.padding_bps > 0
    budget.lost(0.05, 10.1)
    assert budget.padding_bps == 0
    assert budget.allowed_bps == 200_000


# --- the path's counters


def test_estimates_for_different_streams_add_up_and_those_for_the_same_replace() -> None:
    link = Downlink()
    link.estimated(BitrateEstimate(100, (1, 2)), 1.0)
    link.estimated(BitrateEstimate(200, (3,)), 1.0)
    assert link.estimate_bps == 300
    link.estimated(BitrateEstimate(150, (1, 2, 3)), 2.0)
    assert link.estimate_bps == 150
    link.forget((1, 2, 3))
    assert link.estimate_bps is None


def test_rates_are_of_the_last_second_with_headers() -> None:
    link = Downlink()
    for quarter in range(9):
        octets, packets = 25_000 * quarter, 25 * quarter
        link.sent(SentTotals(video=octets, video_packets=packets, extra=1000 * quarter), quarter / 4)
    assert link.video_bps == pytest.approx(8 * (100_000 + 34 * 100))
    assert link.extra_bps == pytest.approx(8 * 4000)


def test_losses_are_judged_once_a_second_over_all_streams() -> None:
    link = Downlink()
    link.budget.update(1_000_000, 0, 2_000_000, None, 99.0)
    for second in range(4):
        for ssrc in (1, 2):
            lost = 50 * second if ssrc == 1 else 0
            link.reported(ReceptionReport(ssrc, 0, lost, 100 * second, 0, 0, 0), 100.0 + second + ssrc / 10)
    assert link.budget.is_congested


def test_what_a_publisher_lost_is_not_held_against_the_path_to_others() -> None:
    link = Downlink()
    link.budget.update(1_000_000, 0, 2_000_000, None, 99.0)
    for second in range(6):
        link.reported(ReceptionReport(1, 0, 50 * second, 100 * second, 0, 0, 0), 100.0 + second, packets=50 * second)
    assert not link.budget.is_congested

    for second in range(6, 10):
        lost = 50 * second + 25 * (second - 5)
        link.reported(ReceptionReport(1, 0, lost, 100 * second, 0, 0, 0), 100.0 + second, packets=50 * second)
    assert link.budget.is_congested


def test_what_is_sent_again_is_bounded_by_what_the_path_carries() -> None:
    link = Downlink()
    link.budget.proven_bps = 400_000
    resent = sum(1000 for number in range(1000) if link.may_resend(1000, number / 100))
    assert 8 * resent / 10 == pytest.approx(100_000, rel=0.15)


def test_loss_after_loss_goes_further_down_however_much_is_sent_again() -> None:
    budget = LinkBudget(proven_bps=300_000)
    for second in range(8):
        budget.update(300_000, 1_700_000, 4_000_000, None, float(second))
        budget.lost(0.4, float(second))
    assert budget.allowed_bps < 110_000
