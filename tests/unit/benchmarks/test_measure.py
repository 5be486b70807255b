"""Benchmarks: the arithmetic between a clock and a figure."""

from __future__ import annotations

from benchmarks._measure import Figure, interleave, over


def test_arms_take_turns_and_begin_with_another_one_each_lap() -> None:
    """No arm is always the first one after the other: a lap begins where the last one had its second."""
    calls: list[str] = []

    def arm(name: str) -> float:
        calls.append(name)
        return 1.0

    interleave({"a": lambda: arm("a"), "b": lambda: arm("b"), "c": lambda: arm("c")}, rounds=1, laps=3)
    warm_up, measured = calls[:9], calls[9:]
    assert "".join(measured) == "abc" + "bca" + "cab"
    assert warm_up == measured


def test_a_round_says_the_median_of_its_laps_and_the_first_round_is_thrown_away() -> None:
    """One slow lap does not move a round, and the warm-up is not measured."""
    seconds = iter([100.0, 100.0, 100.0, 1.0, 9.0, 2.0, 3.0, 5.0, 4.0])
    assert interleave({"a": lambda: next(seconds)}, rounds=2, laps=3) == {"a": [2.0, 4.0]}


def test_overhead_is_what_is_added_in_units_of_the_yardstick() -> None:
    """Round by round: (observed - bare) / yardstick."""
    samples = {"observed": [5.0, 8.0], "bare": [1.0, 2.0], "record": [8.0, 12.0]}
    assert over(samples, "observed", "bare", "record") == [0.5, 0.5]


def test_a_figure_is_the_median_of_its_rounds_and_its_spread_their_quartiles() -> None:
    """An outlier among the rounds moves neither much."""
    figure = Figure("id", "what", [1.0, 2.0, 3.0, 4.0, 100.0])
    assert figure.value == 3.0
    assert figure.spread == (2.0, 4.0)
