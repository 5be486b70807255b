"""The result of a replay as text and as JSON."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from radiosonde.model.percent import percent

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from radiosonde.forensics.paired import Difference, MeanDifference, Paired
    from radiosonde.forensics.replay import Determinism, ReplayResult
    from radiosonde.forensics.tables import Key

WIDTH = 80
SHOWN_GROUPS, SHOWN_CLASSES = 20, 5


def lines(found: ReplayResult, args: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of a report, 80 columns wide."""
    request = found.request
    rows = "" if found.determinism is not None and not found.determinism.is_given else f"{found.rows:,} rows; "
    yield from _wrapped(
        f"{request.table}: {rows}{len(request.columns)} columns given to {args.model}: {', '.join(request.columns)}"
    )
    if found.resumed:
        yield f"{found.resumed:,} of them were predicted by an earlier run"
    if found.determinism is None:
        yield "the table has no rows: nothing was compared"
        return
    yield from _deterministic(found.determinism)
    if not found.determinism.is_given:
        yield from _wrapped("nothing was compared: set the model's seed, or a larger --tolerance")
        return
    durations = found.durations
    if durations.calls:
        yield from _wrapped(
            f"predicting: {1e6 * durations.total_s / durations.rows:,.1f} us per row; a call of {args.batch:,} rows takes "
            f"{1e3 * durations.quantile(0.5):,.3g} ms (median), {1e3 * durations.quantile(0.99):,.3g} ms (p99)"
        )
    if found.uncorrected:
        yield from _wrapped(f"{found.uncorrected:,} rows are not in {args.features} and kept their features")
    for title, paired in _comparisons(found, args):
        yield ""
        yield from _wrapped(title)
        yield from _compared(found, paired)
    if found.reproduction is None and found.effect is None:
        yield from _wrapped("nothing was compared: give --prediction, --against or --features")


def document(found: ReplayResult, args: argparse.Namespace) -> dict[str, Any]:
    """Return the result as JSON values; groups by cohort and window, in order."""
    request, durations, determinism = found.request, found.durations, found.determinism
    return {
        "table": str(request.table),
        "model": args.model,
        "columns": list(request.columns),
        "rows": found.rows,
        "resumed_rows": found.resumed,
        "uncorrected_rows": found.uncorrected,
        "tolerance": request.tolerance,
        "deterministic": None if determinism is None else determinism.is_given,
        "repeated": None if determinism is None else determinism.repeated.document(),
        "halved": None if determinism is None else determinism.halved.document(),
        "seconds_per_row": durations.total_s / durations.rows if durations.rows else None,
        "call_seconds": {"p50": durations.quantile(0.5), "p99": durations.quantile(0.99)} if durations.calls else None,
        "by": [*([] if request.time is None else ["start_ns"]), *request.by],
        "comparisons": [
            {
                "title": title,
                **paired.total().document(),
                "groups": [
                    {"key": list(key), **paired.groups[key].document(len(paired.groups))}
                    for key in sorted(paired.groups, key=_order)
                ],
            }
            for title, paired in _comparisons(found, args)
        ],
    }


def _comparisons(found: ReplayResult, args: argparse.Namespace) -> Iterator[tuple[str, Paired]]:
    """Yield the comparisons that were made, with their titles."""
    if not found.is_comparable:
        return
    if found.reproduction is not None:
        yield f"reproduction: recorded {found.request.recorded} (A), {args.model} now (B)", found.reproduction
    if found.effect is not None:
        what = [args.against or args.model, *([f"with {args.features}"] if args.features is not None else [])]
        yield f"effect: {args.model} (A), {' '.join(what)} (B)", found.effect


def _deterministic(found: Determinism) -> Iterator[str]:
    for what, difference in (("predicted again", found.repeated), ("predicted in halves", found.halved)):
        if difference.different:
            size = f", by at most {difference.largest:.3g}" if difference.numbers else ""
            fault = (
                "not deterministic" if difference is found.repeated else "answers depend on the other rows of a call"
            )
            yield from _wrapped(
                f"{fault}: of the first {found.rows:,} rows {what} {difference.different:,} differ{size}"
            )
            if difference is found.repeated:
                return
    if not found.halved.different:
        yield f"deterministic: the first {found.rows:,} rows, predicted again and in halves, are equal"


def _compared(found: ReplayResult, paired: Paired) -> Iterator[str]:
    total = paired.total()
    close = f"{total.close:,} within {found.request.tolerance:g}, " if total.close else ""
    verdict = "different" if total.different else "equal"
    missing = f"; {total.missing[0]:,} missing only in A, {total.missing[1]:,} only in B" if any(total.missing) else ""
    yield from _wrapped(
        f"{verdict}: {total.equal:,} of {total.rows:,} rows are equal, {close}{total.different:,} differ{missing}"
    )
    if not total.different:
        return
    for line in _sizes(total, 1):
        yield from _wrapped(f"  {line}")
    yield from _when(found, paired)
    if found.request.by:
        yield from _cohorts(found, paired)


def _sizes(found: Difference, among: int) -> Iterator[str]:
    """Yield what the differences of some rows amount to."""
    estimate = found.estimate(among)
    if estimate is not None:
        yield (
            f"mean of B - A {estimate.mean:+.4g}{_interval(estimate)}, mean absolute {found.absolute / found.numbers:.4g}, "
            f"largest {found.largest:.4g}"
        )
    for name, (share_a, share_b, step) in list(found.shares(among).items())[:SHOWN_CLASSES]:
        if step.mean:
            yield f"class {name}: {percent(share_a, 4)} in A, {percent(share_b, 4)} in B, B - A {100 * step.mean:+.3g} points{_interval(step, 100)}"
    moves = [(pair, rows) for pair, rows in found.classes.most_common() if pair[0] != pair[1]][:SHOWN_CLASSES]
    if moves:
        yield "changed most: " + ", ".join(f"{pair[0]} to {pair[1]} ({rows:,})" for pair, rows in moves)


def _interval(estimate: MeanDifference, unit: int = 1) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f" (95% interval {unit * estimate.low:+.4g} to {unit * estimate.high:+.4g})"


def _when(found: ReplayResult, paired: Paired) -> Iterator[str]:
    """Yield the span of the windows that differ."""
    if found.request.time is None:
        return
    windows = paired.by((0,))
    differing = sorted(key[0] for key, each in windows.items() if each.different and key[0] is not None)
    if differing:
        end_ns = differing[-1] + round(found.request.window_s * 1e9)
        yield from _wrapped(
            f"  {len(differing)} of {len(windows)} windows differ: {_instant(differing[0])} to {_instant(end_ns)} UTC"
        )


def _cohorts(found: ReplayResult, paired: Paired) -> Iterator[str]:
    """Yield the cohorts that differ, the largest shares of differing rows first."""
    by = found.request.by
    start = 0 if found.request.time is None else 1
    groups = paired.by(range(start, start + len(by)))
    differing = sorted(
        ((key, each) for key, each in groups.items() if each.different),
        key=lambda item: (-item[1].different / item[1].rows, _order(item[0])),
    )
    yield from _wrapped(f"  {len(differing)} of {len(groups)} cohorts differ (their intervals hold together):")
    for key, each in differing[:SHOWN_GROUPS]:
        name = ", ".join(
            f"{label}={'(missing)' if part is None else part}" for label, part in zip(by, key, strict=True)
        )
        yield from _wrapped(
            f"  {name}: {each.different:,} of {each.rows:,} rows differ ({percent(each.different / each.rows, 4)})"
        )
        for line in _sizes(each, len(groups)):
            yield from _wrapped(f"    {line}")
    if len(differing) > SHOWN_GROUPS:
        yield f"  ... {len(differing) - SHOWN_GROUPS} more; --json lists all"


def _order(key: Key) -> list[Any]:
    return [(part is not None, str(type(part)), part) for part in key]


def _instant(time_ns: int) -> str:
    return f"{datetime.fromtimestamp(time_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S}"


def _wrapped(text: str) -> list[str]:
    indent = " " * (len(text) - len(text.lstrip()) + 2)
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=True) or [""]
