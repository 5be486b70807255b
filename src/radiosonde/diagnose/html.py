"""The diagnosis as one self-contained HTML file, without scripts, fonts or requests; light or dark."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from radiosonde.diagnose.finding import RateTable, Timeline
from radiosonde.diagnose.hypotheses import CAUSES
from radiosonde.diagnose.quality_figures import quality_words
from radiosonde.diagnose.svg import bar_chart, line_chart
from radiosonde.diagnose.text import (
    checked_words,
    gap_words,
    left_out_words,
    muted_words,
    onset_words,
    place_words,
    rate_words,
    reasons,
    responsible_words,
    span_words,
    state_words,
    status_words,
)
from radiosonde.model import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from radiosonde.diagnose.finding import Diagnosis, Figure, Finding

_BADGES = {"healthy": "healthy", "findings": "page", "not checked": "ticket", "stale": "ticket"}
FIGURE_STYLE = """
svg { display: block; width: 100%; height: auto; } .legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 2px 0 0 8px; font-size: 13px; color: var(--soft); }
.legend svg { display: inline-block; width: 10px; height: 10px; margin-right: 6px; }
.grid { stroke: var(--rule); stroke-width: 1; } .tick { font-size: 11.5px; fill: var(--soft); } .row { font-size: 13px; fill: var(--ink); } .inside { font-size: 12px; fill: var(--card); }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; stroke-linecap: round; } .l0 { stroke: var(--c0); } .l1 { stroke: var(--c1); } .l2 { stroke: var(--c2); } .l3 { stroke: var(--c3); } .l4 { stroke: var(--c4); } .l5 { stroke: var(--c5); }
.s0 { fill: var(--c0); } .s1 { fill: var(--c1); } .s2 { fill: var(--c2); } .s3 { fill: var(--c3); } .s4 { fill: var(--c4); } .s5 { fill: var(--c5); }
.reference { fill: var(--ref); } .before { fill: var(--c0); } .after { fill: var(--red); }
.affected { fill: var(--mark); } .onset { stroke: var(--red); stroke-width: 1.5; stroke-dasharray: 4 3; } .onset-label { font-size: 12px; fill: var(--red); font-weight: 600; }
"""
"""Style of figures; their colours are variables, which a page defines."""
_STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1a2230; --soft: #5b6677; --rule: #e2e6ec;
  --red: #c8302c; --amber: #946013; --green: #1c7546; --blue: #2a6fdb; --mark: rgba(200,48,44,.09); --code: #f0f2f6;
  --c0: #2a6fdb; --c1: #b85c14; --c2: #2c8056; --c3: #8f55c0; --c4: #677180; --c5: #876b0c; --ref: #7f8a99; }
@media (prefers-color-scheme: dark) { :root { --page: #12161d; --card: #1b212b; --ink: #e4e9f0; --soft: #9aa6b6; --rule: #2e3744;
  --red: #f0716b; --amber: #e2b04a; --green: #5cc48d; --blue: #6fa4f5; --mark: rgba(240,113,107,.13); --code: #12161d;
  --c0: #6fa4f5; --c1: #f0a066; --c2: #62c596; --c3: #bd92e4; --c4: #8793a5; --c5: #dfc25a; --ref: #748193; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
main { max-width: 880px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 0 0 6px; line-height: 1.35; } h3 { font-size: 14px; margin: 22px 0 4px; color: var(--soft); font-weight: 600; }
.span { color: var(--soft); margin: 0 0 20px; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 20px 24px 22px; margin: 18px 0; }
.card.page { border-left: 5px solid var(--red); } .card.ticket { border-left: 5px solid var(--amber); }
.badge { display: inline-block; font-size: 12px; font-weight: 700; letter-spacing: .04em; text-transform: uppercase; color: var(--card); background: var(--soft); border-radius: 4px; padding: 1px 8px; margin-right: 6px; }
.badge.page { background: var(--red); } .badge.ticket { background: var(--amber); } .badge.kind { background: var(--blue); } .badge.healthy { background: var(--green); font-size: 15px; }
.toc { padding-left: 22px; margin: 8px 0 0; } .toc a { color: inherit; } .toc span { color: var(--soft); }
dl { display: grid; grid-template-columns: 92px 1fr; gap: 4px 14px; margin: 14px 0 0; } dt { color: var(--soft); } dd { margin: 0; }
.verdict { font-size: 16px; margin: 6px 0 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 14px; margin-top: 4px; } th, td { text-align: right; padding: 3px 14px; border-bottom: 1px solid var(--rule); font-variant-numeric: tabular-nums; } th:first-child, td:first-child { text-align: left; padding-left: 0; } th { color: var(--soft); font-weight: 600; }
.causes th, .causes td { text-align: left; vertical-align: top; padding-left: 0; min-width: 90px; } .causes td { font-size: 13px; } .causes .likely td { font-weight: 600; }
tr.marked td { font-weight: 700; } td.hot { color: var(--red); font-weight: 700; } td.none { color: var(--soft); }
ul { margin: 4px 0 0; padding-left: 20px; } .evidence li { margin: 1px 0; }
pre { background: var(--code); border: 1px solid var(--rule); border-radius: 6px; padding: 8px 12px; margin: 4px 0 10px; font-size: 12.5px; white-space: pre-wrap; overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: 13px; margin-top: 26px; }
@media (max-width: 560px) { main { padding: 18px 12px 40px; } .card { padding: 14px 14px 16px; } dl { grid-template-columns: 74px 1fr; } td, th { padding: 3px 8px; white-space: nowrap; }
  .figure { overflow-x: auto; } svg.bars { min-width: 560px; } .bars text { font-size: 13.5px; } .causes { min-width: 620px; }
  .lines text { font-size: 22px; } .lines .extra { display: none; } .lines .time { transform: translateY(7px); } .causes td, .causes th { white-space: normal; } }
@media print { body { background: #fff; } .card { break-inside: avoid; } }
"""


def render_html(diagnosis: Diagnosis, *, title: str, command: Callable[[str], str]) -> str:
    """Return the report as one self-contained HTML document.

    Args:
        diagnosis: the diagnosis.
        title: headline, usually the store's name.
        command: turns the command of a next step into the one to type.
    """
    state = f'<span class="badge {_BADGES[diagnosis.status]}">{escape(status_words(diagnosis))}</span>'
    why = "".join(f"<li>{escape(reason)}</li>" for reason in reasons(diagnosis))
    contents = "".join(
        f'<li><a href="#f{number}">{escape(finding.title)}</a> <span>since {_time(finding.onset.at_ns)}</span></li>'
        for number, finding in enumerate(diagnosis.findings, 1)
    )
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="span">{state} {escape(span_words(diagnosis))} in {_grouped(diagnosis.windows)} windows</p>',
        f'<ul class="why">{why}</ul>' if why else "",
        f'<ol class="toc">{contents}</ol>' if contents else "",
        *(_finding(finding, number, command) for number, finding in enumerate(diagnosis.findings, 1)),
        _list("Muted", [muted_words(finding) for finding in diagnosis.muted]),
        _causes(diagnosis) if diagnosis.findings else "",
        _list("Quality", [quality_words(figure) for figure in diagnosis.quality]),
        _notes(diagnosis),
        _list("Checked", [line for check in diagnosis.checked for line in checked_words(check)]),
        _list("Not checked", [gap_words(gap) for gap in diagnosis.not_checked]),
        _list("No baseline", [left_out_words(each) for each in diagnosis.left_out]),
        "<footer>Made by <code>radiosonde diagnose</code> from telemetry alone. Times are event time, UTC.</footer>",
    ]
    return html_page(title, "".join(body))


def html_page(title: str, body: str) -> str:
    """Return an HTML document with *body*, with the style of all reports."""
    # Foreign stores may hold any text: unprintable characters could not even be encoded into the file.
    return printable(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}{FIGURE_STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _finding(finding: Finding, number: int, command: Callable[[str], str]) -> str:
    facts = (
        ("where", place_words(finding.where)),
        ("since", onset_words(finding.onset)),
        ("how sure", finding.confidence.words),
        *((("incident", f"{finding.id}, {state_words(finding)}"),) if finding.id else ()),
        *((("impact", finding.impact.text),) if finding.impact is not None else ()),
        *responsible_words(finding),
    )
    rows = "".join(f"<dt>{name}</dt><dd>{escape(words)}</dd>" for name, words in facts)
    figures = "".join(f"<h3>{escape(figure.title)}</h3>{figure_html(figure, finding)}" for figure in finding.figures)
    evidence = "".join(f"<li>{escape(item.text)}</li>" for item in finding.evidence)
    steps = "".join(
        f"<div>{escape(step.what)}</div><pre>{escape(command(step.command))}</pre>" for step in finding.next_steps
    )
    return (
        f'<section class="card {finding.severity}" id="f{number}"><h2>{escape(finding.title)}</h2>'
        f'<span class="badge {finding.severity}">{finding.severity}</span><span class="badge kind">{finding.kind}</span>'
        f'<p class="verdict">{escape(finding.verdict)}</p><dl>{rows}</dl>{figures}'
        f'<h3>Evidence</h3><ul class="evidence">{evidence}</ul><h3>What to look at next</h3>{steps}</section>'
    )


def figure_html(figure: Figure, finding: Finding) -> str:
    """Return *figure* of *finding* as HTML; every name in it is escaped."""
    if isinstance(figure, Timeline):
        return f'<div class="figure">{line_chart(figure, finding.onset)}</div>'
    if isinstance(figure, RateTable):
        return _rate_table(figure)
    return f'<div class="figure">{bar_chart(figure)}</div>'


def _causes(diagnosis: Diagnosis) -> str:
    """Return the possible causes as a table, with the two strongest facts on each side."""
    rows = []
    for each in diagnosis.hypotheses:
        sides = ["<br>".join(escape(fact.text) for fact in side[:2]) for side in (each.speaks_for, each.speaks_against)]
        sides = [sides[0], sides[1] or escape(each.because)]
        name = CAUSES[each.cause] + (
            f" ({each.model})" if len({other.model for other in diagnosis.hypotheses}) > 1 else ""
        )
        rows.append(
            f'<tr class="{each.state.replace(" ", "-")}"><td>{escape(name)}</td><td>{each.state}</td><td>{sides[0]}</td><td>{sides[1]}</td></tr>'
        )
    head = "<tr><th>cause</th><th>state</th><th>for</th><th>against</th></tr>"
    return f'<h3>Causes</h3><div class="wide"><table class="causes">{head}{"".join(rows)}</table></div>' if rows else ""


def _rate_table(table: RateTable) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    lines = []
    for label, cells in table.rows:
        marked = ' class="marked"' if label == table.marked else ""
        shown = "".join(f'<td class="{_heat(*cell)}">{rate_words(*cell)}</td>' for cell in cells)
        lines.append(f"<tr{marked}><td>{escape(label)}</td>{shown}</tr>")
    rows = f"<tr><th>{escape(table.row_label)}</th>{head}</tr>{''.join(lines)}"
    return f'<div class="wide"><table>{rows}</table></div>'


def _heat(hits: int, total: int) -> str:
    return "none" if not hits else "hot" if hits >= 3 and hits / total >= 0.05 else ""


def _notes(diagnosis: Diagnosis) -> str:
    return _list("Noted, no action", [f"{note.title}; since {onset_words(note.onset)}" for note in diagnosis.notes])


def _list(title: str, lines: list[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h3>{title}</h3><ul>{items}</ul>" if items else ""


def _time(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")
