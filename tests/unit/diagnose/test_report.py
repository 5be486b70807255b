"""Reports: the text of 100 columns and the one-file HTML report."""

from __future__ import annotations

import io
from html.parser import HTMLParser

import pytest
from rich.console import Console

from radiosonde.diagnose import (
    Bars,
    Checked,
    Diagnosis,
    Evidence,
    Finding,
    NextStep,
    NotChecked,
    Onset,
    Place,
    RateTable,
    Timeline,
    print_diagnosis,
    render_html,
)
from radiosonde.diagnose.finding import confidence

HOUR = 3_600 * 10**9
START = 1_362_096_000 * 10**9
HOSTILE = "<script>alert('x')</script>"
VOID = {"meta", "br"}


def finding(**changes):
    """Return a finding with every kind of picture."""
    starts = [START + hour * HOUR for hour in range(48)]
    fields = {
        "name": "version.errors.v2.carrier=WN",
        "kind": "version",
        "severity": "page",
        "title": f"version v2 fails on carrier={HOSTILE}",
        "verdict": "The model version, not data or infrastructure.",
        "where": Place("delays", version="v2", cohort="carrier=WN"),
        "onset": Onset(START + 30 * HOUR, START + 28 * HOUR, START + 30 * HOUR),
        "confidence": confidence(20.0),
        "evidence": (Evidence("rate", 1.0, "share", "version v2, carrier=WN: 32 of 32 since the onset"),),
        "next_steps": (NextStep("failures by type", 'sqlite3 -box STORE "SELECT ' + "very_long_column, " * 12 + '1"'),),
        "figures": (
            RateTable("errors since the onset", "cohort", ["v1", "v2"], [("carrier=UA", [(0, 90), (0, 0)]), ("carrier=WN", [(0, 377), (32, 32)])], "carrier=WN"),
            Timeline("rate of errors", "share", starts, [("v2", [None if hour % 5 == 0 else float(hour > 30) for hour in range(48)]), ("others", [0.0] * 48)]),
            Bars("cells", ["low", HOSTILE], [("reference", [0.5, 0.5]), ("before", [0.4, 0.6]), ("after", [0.0, 1.0])]),
            Bars("tail", ["fetch", "predict"], [("before", [17.4, 3.3]), ("after", [88.0, 3.3])], unit="ms", stacked=True),
        ),
    }  # fmt: skip
    return Finding(**(fields | changes))


def diagnosis(*findings, notes=()):
    """Return a diagnosis of two days."""
    gap = NotChecked("labelled outcomes", Place("delays"), "0 labels arrived; at least 200 are needed")
    return Diagnosis(
        findings,
        tuple(notes),
        (gap,),
        (Checked("failures of 900 calls", Place("delays")),),
        START,
        START + 48 * HOUR,
        900,
        96,
    )


def text_of(shown, width=100):
    """Return the output of the terminal."""
    stream = io.StringIO()
    terminal = Console(file=stream, width=width, highlight=False)
    print_diagnosis(shown, terminal, command=lambda command: command.replace("STORE", "/tmp/a.sqlite"))
    return stream.getvalue()


class Balanced(HTMLParser):
    """Fails on a tag that is closed wrongly, collects the rest."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.attributes = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes.extend(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes.extend(attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_text_says_what_where_since_when_how_sure_and_what_next():
    """All five answers, the table with the culprit first, and a picture with the onset under it."""
    shown = text_of(diagnosis(finding()))
    assert shown.startswith("1 FINDING  2013-03-01 00:00 to 2013-03-03 00:00 UTC, 900 calls")
    assert "PAGE  version" in shown
    assert "where     model delays, version v2, cohort carrier=WN" in shown
    assert "since     2013-03-02 06:00 UTC (between 2013-03-02 04:00 and 2013-03-02 06:00), still going on" in shown
    assert "how sure  sure: chance would do this in about one report in 400 000 000" in shown
    assert shown.index("carrier=WN   ") < shown.index("carrier=UA")
    assert "no traffic" in shown
    block, caret = next(
        pair for pair in zip(shown.splitlines(), shown.splitlines()[1:], strict=False) if "▲ onset" in pair[1]
    )
    assert "█" not in block[: caret.index("▲")]
    assert "Not checked" in shown
    assert "because 0 labels arrived" in shown


def test_no_line_is_wider_than_the_terminal_except_commands_which_are_never_broken():
    """A command is there to be copied; all else fits 100 columns."""
    lines = text_of(diagnosis(finding())).splitlines()
    wide = [line for line in lines if len(line) > 100]
    assert len(wide) == 1
    assert wide[0].strip().startswith("sqlite3 -box /tmp/a.sqlite")
    assert wide[0].endswith('1"')


def test_health_is_said_and_notes_do_not_spoil_it():
    """A season is noted under its own heading."""
    shown = text_of(diagnosis(notes=[finding(severity="info", kind="drift", title="temp: its level moved")]))
    assert shown.startswith("HEALTHY")
    assert "Noted, no action" in shown
    assert "temp: its level moved" in shown


@pytest.mark.parametrize("shown", [diagnosis(), diagnosis(finding(), finding(figures=()))])
def test_the_report_is_one_balanced_document_that_asks_the_network_for_nothing(shown):
    """No script, no link, no image, no address; foreign text is escaped; light and dark."""
    page = render_html(shown, title=f"Diagnosis of {HOSTILE}", command=lambda command: command)
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert not {"script", "link", "img", "iframe", "object", "use"} & set(parser.seen)
    assert not [value for name, value in parser.attributes if name in {"src", "href"} and not value.startswith("#")]
    assert "url(" not in page
    assert "@import" not in page
    assert HOSTILE not in page
    assert "prefers-color-scheme: dark" in page


def test_the_report_has_a_picture_for_every_figure():
    """Two bar charts, a time line with its onset, and the table with the culprit marked."""
    page = render_html(diagnosis(finding()), title="t", command=lambda command: command)
    assert page.count('role="img"') == 3
    assert "onset Mar 2 06:00" in page
    assert (
        '<tr class="marked"><td>carrier=WN</td><td class="none">0/377  0 %</td><td class="hot">32/32  100 %</td></tr>'
        in page
    )
    assert "88 ms" in page


@pytest.mark.parametrize(
    ("ln_e", "words"),
    [(2.0, "a hint, not more"), (4.0, "likely: chance would do this in about one report in 50"), (900.0, "beyond doubt: chance would do this in fewer than one report in 1 000 000 000")],
)  # fmt: skip
def test_confidence_is_put_in_words_that_claim_no_more_than_a_billion(ln_e, words):
    """e**4 is 54.6, shown as 50; e**900 is not a number anyone should claim."""
    assert confidence(ln_e).words == words
