"""Sentences of a canary report, shared by text and HTML."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from radiosonde.diagnose.canary.measures import Subject
    from radiosonde.diagnose.canary.ratio import Ratio
    from radiosonde.diagnose.canary.verdict import CanaryReport, Judged, Status, WorsePlace

NAMES: dict[Subject, str] = {"errors": "failures", "latency": "p99 latency", "labels": "wrong answers", "confidence": "unsure answers"}  # fmt: skip
_EVENTS: dict[Subject, str] = {
    "errors": "of calls fail",
    "latency": "of calls take as long as the old p99",
    "labels": "of labelled answers are wrong",
    "confidence": "of answers have a lower confidence than three in four of the old version's",
}
FASTEST_RISE_S = 0.0013
_MEANING: dict[Status, str] = {
    "promote": "nothing required is worse: promote, or continue with the next share",
    "worse": "roll back, or stop the rollout",
    "keep going": "not decided yet: keep the canary running",
    "stale": "nothing was written recently: the server or its telemetry has stopped",
    "mismatch": "the new version does not get its share of calls: fix the split first; only failures can be compared",
}


def headline(report: CanaryReport) -> str:
    """Return the recommended action."""
    return report.waiting or _MEANING[report.status]


def span(report: CanaryReport) -> str:
    """Return the scope of the comparison: the versions, the time, the calls."""
    if not report.end_ns:
        return f"{report.model}: {report.new or '?'} against {report.old or '?'}"
    share = 100 * report.calls_new / max(report.calls_new + report.calls_old, 1)
    return (
        f"{report.model}: {report.new} against {report.old}, {moment(report.start_ns)} to {moment(report.end_ns)} UTC, "
        f"{grouped(report.calls_new)} of {grouped(report.calls_new + report.calls_old)} calls ({share:.3g} %)"
    )


def ratio_lines(ratio: Ratio) -> list[str]:
    """Describe the traffic split."""
    if not ratio.is_checked:
        return ["not checked: pass the share that the new version should get, as in --share 0.1, or count by cohort"]
    if not ratio.mismatches:
        against = [] if ratio.expected is None else [f"expected {percent(ratio.expected, 3)}"]
        alike = [f"alike in {ratio.cohorts} cohorts"] if ratio.cohorts > 1 else []
        return [f"{percent(ratio.share, 3)} of calls, {' and '.join([*against, *alike])}"]
    return [
        f"{each.cohort or 'all calls'}: {percent(each.share, 3)} of calls go to the new version, not {percent(each.expected, 3)}"
        for each in ratio.mismatches
    ]


def figures(judged: Judged) -> tuple[str, str]:
    """Return the measure of the old and of the new version."""
    if judged.subject == "latency":
        return _ms(judged.old), _ms(judged.new)
    return percent(judged.old, 3), percent(judged.new, 3)


def interval(judged: Judged) -> str:
    """Return the 99 % interval of the difference."""
    if judged.low is None and judged.high is None:
        return "unknown"
    if judged.subject == "latency":
        low, high = ("" if value is None else f"x{value:.2f}" for value in (judged.low, judged.high))
    else:
        low, high = ("" if value is None else _points(value) for value in (judged.low, judged.high))
    unit = "" if judged.subject == "latency" else " points"
    if not low or not high:
        return f"{'above ' + low if low else 'below ' + high}{unit}"
    return f"{low} to {high}{unit}"


def margin_words(judged: Judged) -> str:
    """Return the margin."""
    if judged.subject == "latency":
        # Of a fast model the margin is a millisecond, in whole buckets.
        rise_s = judged.old * (judged.margin - 1)
        return f"{1000 * rise_s:.2g} ms" if rise_s < FASTEST_RISE_S else f"x{judged.margin:.3g}"
    points = f"{100 * judged.margin:.3g}"
    return f"{points} point{'' if points == '1' else 's'}"


def verdict_words(judged: Judged, *, is_blocked: bool = False) -> str:
    """Return the verdict; *is_blocked* where the split is wrong, so that it cannot be given."""
    if is_blocked:
        return "not compared: the split is wrong"
    if judged.verdict == "worse":
        whole = all(not place.cohort for place in judged.places)
        return "worse" if whole else f"worse in {', '.join(place.cohort or 'all' for place in judged.places[:3])}"
    if judged.verdict == "no difference":
        return f"no difference larger than {margin_words(judged)}"
    if judged.verdict == "better":
        return "better"
    if judged.rows_to_go is None:
        return "keep going: the number of rows cannot be estimated"
    return f"keep going: about {rounded(judged.rows_to_go)} more rows if there is no difference"


def place_words(judged: Judged, place: WorsePlace) -> str:
    """Describe where and by how much the new version is worse, and since when."""
    rate, old = place.hits / max(place.trials, 1), place.old_hits / max(place.old_trials, 1)
    where = place.cohort or "all cohorts"
    return (
        f"{NAMES[judged.subject]}, {where}: {percent(rate, 3)} {_EVENTS[judged.subject]} "
        f"({grouped(place.hits)} of {grouped(place.trials)}), of the old version {percent(old, 3)} "
        f"({grouped(place.old_hits)} of {grouped(place.old_trials)}); since {moment(place.since_ns)} UTC, "
        f"known at {moment(place.decided_ns)}"
    )


def moment(time_ns: int) -> str:
    """Return *time_ns* to the minute."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")


def grouped(number: int) -> str:
    """Return *number* with its digits in groups of three, kept together where lines are wrapped."""
    return f"{number:,}".replace(",", "\N{NO-BREAK SPACE}")


def rounded(number: int) -> str:
    """Return *number* to two digits: it is a forecast."""
    digits = max(len(str(number)) - 2, 0)
    return grouped(round(number, -digits))


def _points(difference: float) -> str:
    return f"{100 * difference:+.2g}" if difference else "0"


def _ms(seconds: float) -> str:
    return "unknown" if seconds != seconds else f"{1000 * seconds:.3g} ms"  # noqa: PLR0124 - NaN
