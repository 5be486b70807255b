"""The canary report as one self-contained HTML file, in the style of all reports."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from radiosonde.diagnose.canary import words
from radiosonde.diagnose.html import html_page

if TYPE_CHECKING:
    from radiosonde.diagnose.canary.verdict import CanaryReport, Judged

_BADGES = {"promote": "healthy", "worse": "page", "keep going": "ticket", "stale": "ticket", "mismatch": "page"}


def render_canary(report: CanaryReport) -> str:
    """Return *report* as one HTML document."""
    title = f"Canary of {report.model}: {report.new or '?'} against {report.old or '?'}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="span"><span class="badge {_BADGES[report.status]}">{report.status}</span> {escape(words.headline(report))}</p>',
        f'<p class="span">{escape(words.span(report))}</p>',
        *_places(report),
        _table(report),
        _list("Sample ratio", [] if report.ratio is None else words.ratio_lines(report.ratio)),
        _list("Not judged", [f"{words.NAMES[gap.subject]}: {gap.because}" for gap in report.not_judged]),
        _list("Not compared", list(report.without)),
        "<footer>Made by <code>radiosonde canary</code>. Verdicts are valid at every look. Times are event time, UTC.</footer>",
    ]
    return html_page(title, "".join(body))


def _places(report: CanaryReport) -> list[str]:
    return [
        f'<div class="card page"><h2>{escape(words.NAMES[judged.subject])}: worse in {escape(place.cohort or "all cohorts")}</h2>'
        f'<p class="verdict">{escape(words.place_words(judged, place))}</p></div>'
        for judged in report.worse
        for place in judged.places
    ]


def _table(report: CanaryReport) -> str:
    if not report.measures:
        return ""
    heads = "".join(f"<th>{head}</th>" for head in ("measure", "old", "new", "new &minus; old (99 %)", "verdict"))
    rows = "".join(
        _row(judged, is_blocked=report.is_mismatch and judged.subject != "errors") for judged in report.measures
    )
    return f'<div class="card wide"><table><tr>{heads}</tr>{rows}</table></div>'


def _row(judged: Judged, *, is_blocked: bool) -> str:
    cells = (words.NAMES[judged.subject], *words.figures(judged), words.interval(judged))
    hot = ' class="hot"' if judged.verdict == "worse" and not is_blocked else ""
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr>{shown}<td{hot}>{escape(words.verdict_words(judged, is_blocked=is_blocked))}</td></tr>"


def _list(title: str, lines: list[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h3>{title}</h3><ul>{items}</ul>" if items else ""
