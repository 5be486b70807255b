"""The controller on a simulated clock: it keeps the budget at any load, starts carefully and recovers."""

from __future__ import annotations

import math

import pytest

from radiosonde._aggregate.sampling_controller import SamplingController, rung

NS = 1_000_000_000


class Server:
    """A load on a consumer with known costs: it counts as many rows as the controller allows."""

    def __init__(self, budget=0.01, *, row_s=1e-6, fold_s=0.0, other=0.002):
        self.controller, self.now_s = SamplingController(budget), 0.0
        self.row_s, self.fold_s, self.other = row_s, fold_s, other
        self.steps = []

    def run(self, seconds, rows_a_second, every_s=0.2, lump_s=0.0):
        """Take turns for *seconds* and return the CPU seconds spent; *lump_s* comes once, at the beginning."""
        spent_s = 0.0
        for turn in range(round(seconds / every_s)):
            self.now_s += every_s
            rows = round(rows_a_second * every_s)
            step = self.controller.offer(rows, round(self.now_s * NS))
            row_s = self.fold_s + rows / step * self.row_s
            self.controller.note(rows // step, round(row_s * NS))
            turn_s = row_s + self.other * every_s + (lump_s if turn == 0 else 0.0)
            self.controller.turn(round(self.now_s * NS), round(turn_s * NS))
            spent_s += turn_s
            self.steps.append(step)
        return spent_s


@pytest.mark.parametrize("rows_a_second", [1e4, 1e5, 1e6, 1e7])
@pytest.mark.parametrize(("row_s", "fold_s"), [(0.3e-6, 0.0), (1e-6, 0.0004), (20e-6, 0.0)])
def test_spends_the_budget_and_no_more(rows_a_second, row_s, fold_s):
    """Once it knows the load and what a row costs, all CPU together stays within the budget and uses half of it."""
    server = Server(row_s=row_s, fold_s=fold_s)
    server.run(10, rows_a_second)
    share = server.run(20, rows_a_second) / 20
    assert share <= 0.0105
    if server.steps[-1] > 1:
        assert share >= 0.005


def test_looks_at_every_row_while_that_is_cheap():
    """A load that the budget pays for is not sampled, from the first row on."""
    server = Server()
    server.run(60, 1000, every_s=1.0)
    assert set(server.steps) == {1}


@pytest.mark.parametrize("every_s", [0.04, 0.2, 1.0])
def test_a_cold_process_under_full_load_overspends_for_seconds_only(every_s):
    """100 000 rows/s from nothing on cost at most three seconds of budget more than they should in the first ten."""
    server = Server()
    assert server.run(10, 1e5, every_s) <= 13 * 0.01


def test_recovers_when_the_load_falls():
    """Ten seconds after a load of 100 000 rows/s has become 1 000, every row is counted again."""
    server = Server()
    server.run(30, 1e5)
    assert server.steps[-1] > 8
    server.run(10, 1e3)
    assert server.steps[-1] == 1


def test_a_lump_of_work_does_not_starve_the_rows_for_long():
    """After a second of imports, which is outside the budget, rows are counted as before within half a minute."""
    server = Server()
    server.run(30, 1e4)
    before = server.steps[-1]
    server.run(30, 1e4, lump_s=1.0)
    assert server.steps[-1] <= 2 * before


def test_work_that_costs_more_than_the_budget_leaves_a_tenth_of_it_to_rows():
    """With 3 % of a core spent on other work, rows still get 0.1 %: few rows say more than none."""
    server = Server(other=0.03)
    server.run(20, 1e5)
    rows_s = server.run(20, 1e5) / 20 - 0.03
    assert 0.0004 <= rows_s <= 0.0012


def test_no_budget_is_no_sampling_and_a_clock_that_stands_still_changes_nothing():
    """An infinite budget gives step 1 for any load; two turns at one instant are one."""
    assert SamplingController(math.inf).offer(10**9, 0) == 1
    controller = SamplingController(0.01, now_ns=NS)
    controller.turn(NS, 10**12)
    assert controller.step == 1


def test_steps_are_rungs():
    """Steps are 1, 2, 3 and their multiples by powers of two, never below what is wanted, and bounded."""
    assert [rung(wanted) for wanted in (0, 0.5, 1, 1.01, 2, 2.1, 3, 3.5, 4.5, 6, 6.1, 8.5, 12.5)] == [
        1, 1, 1, 2, 2, 3, 3, 4, 6, 6, 8, 12, 16,
    ]  # fmt: skip
    assert rung(1e12) == 65_536
