"""What a notebook and a prompt show of the values that people hold in hand: short, bounded, and harmless for any name."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from radiosonde.diagnose import Diagnosis, Evidence, Finding, Impact, NotChecked, Onset, Place
from radiosonde.diagnose.finding import confidence
from radiosonde.model import SeriesKey
from radiosonde.reference.profile import Reference
from tests.factories import START_NS, make_feature, make_output, make_reference
from tests.unit.store.strategies import make_part

HOUR = 3_600 * 10**9
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": "\" onload='x' ><img src=x onerror=alert(1)>",
    "ansi": "\x1b[31mred\x1b[0m\x07",
    "rtl": "abc\u202egpj.exe",
    "surrogate": "caf\udce9",
    "lines": "a\nb\r\u2028c\x00",
    "long": "x" * 10_000,
    "ampersand": "&lt;b&gt;",
}
LONGEST_TEXT, LONGEST_HTML = 1000, 20_000


class Tags(HTMLParser):
    """Collects elements, attributes and text; complains about elements that are not closed."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], set(), [], []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.add(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def finding(name):
    """Return a finding all of whose texts hold *name*."""
    return Finding(
        name="errors", kind="errors", severity="page", title=f"{name} fails", verdict=f"a verdict on {name}",
        where=Place(name, name, name, name), onset=Onset(START_NS, START_NS, START_NS + HOUR), confidence=confidence(9.0),
        evidence=tuple(Evidence("rate", 1.0, "share", f"{name} {number}") for number in range(40)),
        id=f"errors-{name}", impact=Impact(5, 1.0, "calls", f"5 calls of {name}"),
    )  # fmt: skip


def values(name):
    """Return one value of each kind, with *name* wherever a name can be."""
    gap = NotChecked(name, Place(name), name, "all")
    findings = tuple(finding(name) for _ in range(40))
    diagnosis = Diagnosis(findings, (), (gap,), (), START_NS, START_NS + HOUR, 10, 2, missing=(gap,), is_stale=True)
    features = [make_feature(name, (40, 50, 0, 0, 10, 0)) for _ in range(300)]
    features.append(make_feature("group", (1,) * 102, categories=[f"{name}{number}" for number in range(100)]))
    reference = make_reference(features, model=name, classes=tuple(f"{name}{number}" for number in range(50)))
    window = make_part(
        3, key=SeriesKey(name, name, name, name), output=make_output([(f"{name}{n}", 0.5) for n in range(50)])
    )
    return {"diagnosis": diagnosis, "finding": findings[0], "reference": reference, "window": window}


@pytest.mark.parametrize("kind", ["diagnosis", "finding", "reference", "window"])
@pytest.mark.parametrize("name", list(HOSTILE.values()), ids=list(HOSTILE))
def test_any_name_is_shown_short_and_harmless(kind, name):
    """The text is one short line of printable characters; the HTML is well formed, short, and holds no element of a name."""
    value = values(name)[kind]
    line, page = repr(value), value._repr_html_()
    assert line.isprintable() or all(each.isprintable() or each == "\ufffd" for each in line)
    assert len(line) <= LONGEST_TEXT
    assert len(page) <= LONGEST_HTML
    page.encode()
    tags = Tags()
    tags.feed(page)
    tags.close()
    assert tags.open == []
    assert tags.attributes == []
    assert tags.tags <= {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert not set("\x1b\x07\u202e\x00\u2028\r\n") & set(page)
    if len(name) < 60 and name.isprintable():
        assert name in "".join(tags.text)


def test_a_fitted_reference_is_a_line():
    """Two hundred features of a thousand rows print as one line with their number."""
    rng = np.random.default_rng(0)
    reference = Reference.fit({f"x{number}": rng.random(1000) for number in range(200)}, model="delays")
    assert repr(reference).startswith("<Reference of delays: unknown, 200 features, 1 000 rows, made 20")
    assert len(repr(reference)) < 120
    assert "and 188 more" in reference._repr_html_()


def test_a_diagnosis_without_findings_gives_its_reasons():
    """A notebook shows why a diagnosis is not healthy, and how much was checked."""
    gap = NotChecked("errors", Place("m"), "no calls", "errors")
    diagnosis = Diagnosis((), (), (gap,), (), START_NS, START_NS + HOUR, 10, 2, missing=(gap,))
    assert repr(diagnosis) == "<Diagnosis: not checked; 2013-03-01 00:00 to 2013-03-01 01:00 UTC, 10 calls>"
    assert "because: errors not checked (m): no calls; checks made: 0; not made: 1" in diagnosis._repr_html_()
    assert "<table>" not in diagnosis._repr_html_()


def test_a_finding_says_what_where_and_since_when():
    """The line holds id, severity, kind, title and onset; the HTML holds the verdict and six lines of evidence."""
    found = replace(finding("delays"), title="calls fail")
    assert repr(found) == (
        "<Finding errors-delays, page, errors: calls fail; since 2013-03-01 00:00 UTC "
        "(between 2013-03-01 00:00 and 2013-03-01 01:00), still going on>"
    )
    assert found._repr_html_().count("<td>") == 6


@pytest.mark.parametrize("time_ns", [-(2**63), 2**63 - 1, 0], ids=["first", "last", "epoch"])
def test_any_time_is_shown(time_ns):
    """A window of any time has a text."""
    assert "Window of " in repr(make_part(3, start_ns=time_ns, end_ns=time_ns))
