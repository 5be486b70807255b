"""The page of a feature: its values before and after a moment, by version and cohort, over time, and as quantiles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radiosonde.desk import feature_tables
from radiosonde.desk.feature_tables import make_quantiles, tables_by_cohort, tables_by_version
from radiosonde.desk.heat import cells_over_time
from radiosonde.desk.words import iso_minute, page_url
from radiosonde.diagnose.panel import Axis
from radiosonde.model import SeriesKey
from radiosonde.sketches.kll import KllSketch
from radiosonde.store import StoreWriter
from tests.factories import START_NS, make_feature, make_features, make_reference, make_window
from tests.unit.desk.stores import MINUTE_NS, Page, client, looked

WIND = make_feature("wind", (400, 500, 0, 0, 100, 0))
CARRIER = make_feature("carrier", (700, 250, 0, 50), categories=("UA", "AA"))
MINUTES, SPLIT = 240, 120
STABLE = SeriesKey("delays", "1")


def windows_of(cells, key=STABLE, minutes=range(MINUTES), sketches=None):
    """Return a window for each minute; *cells* returns the cells of both features in a minute."""
    reference = make_reference([WIND, CARRIER])
    made = []
    for minute in minutes:
        table = cells(minute)
        rows = sum(table["wind"])
        features = make_features(reference, table, sketches(minute) if sketches else None)
        window = make_window(features=features)
        made.append(
            replace(
                window,
                key=key,
                calls=rows,
                rows=rows,
                start_ns=START_NS + minute * MINUTE_NS,
                end_ns=START_NS + (minute + 1) * MINUTE_NS,
            )
        )
    return made


def steady(_):
    """Return cells that are as in the reference."""
    return {"wind": (40, 50, 0, 0, 10, 0), "carrier": (70, 25, 0, 5)}


def changing(minute):
    """Return cells of which both features change after two hours."""
    if minute < SPLIT:
        return steady(minute)
    return {"wind": (10, 50, 0, 30, 10, 0), "carrier": (20, 25, 30, 25)}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return a client over two cohorts, of which one changes after two hours, and version 2 comes then."""
    windows = windows_of(steady, SeriesKey("delays", "1", cohort="carrier=UA"))
    windows += windows_of(changing, SeriesKey("delays", "1", cohort="carrier=AA"), range(SPLIT))
    windows += windows_of(changing, SeriesKey("delays", "2", cohort="carrier=AA"), range(SPLIT, MINUTES))
    path = tmp_path_factory.mktemp("desk") / "s.sqlite"
    reference = make_reference([WIND, CARRIER])
    references = {("delays", version): reference for version in "12"}
    StoreWriter(path, clock_ns=lambda: START_NS + MINUTES * MINUTE_NS).write(windows, references)
    return client(looked(path))


def rows_of(text, region):
    """Return the lines of the table in a region as lists of their cells."""
    part = text[text.index(f'<h2 id="{region}">' if region != "values" else 'aria-label="Share of rows by cell"') :]
    body = part[part.index("<tbody>") : part.index("</tbody>")]
    lines = body.split("<tr>")[1:]
    return [
        [each.split(">")[-1].strip() for each in line.split("</t")[:-1] if each.split(">")[-1].strip()]
        for line in lines
    ]


def at(name, minute=SPLIT):
    """Return the address of a feature, split after a minute."""
    return page_url("/feature", model="delays", name=name, last="all", split=iso_minute(START_NS + minute * MINUTE_NS))


@pytest.mark.parametrize(
    ("name", "cell", "expected"),
    [
        ("wind", "above", ["0 %", "15 %"]),
        ("wind", "missing", ["10 %", "10 %"]),
        ("carrier", "UA", ["70 %", "45 %"]),
        ("carrier", "missing", ["0 %", "15 %"]),
        ("carrier", "unseen", ["5 %", "15 %"]),
    ],
)
def test_the_cells_before_and_after_are_shares_of_all_rows(page, name, cell, expected):
    """Both cohorts have as many rows, so that each share after the change is the mean of 100 % steady and 100 % changed."""
    answer = page.get(at(name))
    assert Page(answer.text).faults == []
    lines = {line[0]: line[2:] for line in rows_of(answer.text, "values")}
    assert lines[cell] == expected


def test_the_cohort_and_the_version_that_changed_are_named(page):
    """The steady cohort has no change of its values; the changed one has the distance that its cells have. Version 2 has rows afterwards only."""
    text = page.get(at("wind")).text
    cohorts = {line[0]: line[1:] for line in rows_of(text, "cohorts")}
    assert cohorts["carrier=UA"][2] == "0.00"
    assert cohorts["carrier=AA"][2] == "0.30"
    versions = {line[0]: line[1:] for line in rows_of(text, "versions")}
    assert versions["2"][:2] == ["0", "12\u202f000"]
    assert versions["1"][:2] == ["24\u202f000", "12\u202f000"]


@pytest.mark.parametrize(
    ("minute", "expected"),
    [(60, ["0 %", "10 %"]), (180, ["5 %", "15 %"]), (30, ["0 %", "8.6 %"])],
)
def test_the_moment_between_before_and_after_is_that_of_the_address(page, minute, expected):
    """The share above the reference on each side is that of the rows of its time."""
    lines = {line[0]: line[2:] for line in rows_of(page.get(at("wind", minute)).text, "values")}
    assert lines["above"] == expected


def test_the_model_and_the_incident_lead_to_the_feature(page):
    """The heat map and the list of features link to the page, and so does an incident about a feature, with its onset as the split."""
    links = Page(page.get("/model?name=delays&last=all").text).links
    assert sum(link.startswith("/feature?model=delays&name=wind") for link in links) == 2
    board = page.app.routes[0].endpoint.__self__._board()
    about = [each.finding for each in board.incidents.values() if each.finding.where.feature]
    assert about
    for finding in about:
        links = [
            each for each in Page(page.get(f"/incident?id={finding.id}").text).links if each.startswith("/feature")
        ]
        (link,) = links
        assert f"name={finding.where.feature}" in link
        assert f"{finding.where.feature}" in Page(page.get(link).text).text


@pytest.mark.parametrize("name", ["gone", "", "wind ", "WIND"])
def test_a_feature_that_is_not_there_has_a_page_that_says_so(page, name):
    """Another name is answered with 404, in words."""
    answer = page.get(at(name))
    assert answer.status_code == 404
    assert "There is no such feature" in Page(answer.text).text


def test_a_time_without_values_says_so_and_keeps_the_way_out(page):
    """A range before the first window shows no cells but the link to all of them."""
    answer = page.get("/feature?model=delays&name=wind&from=1999-01-01T00:00&to=1999-01-02T00:00")
    assert answer.status_code == 200
    assert Page(answer.text).faults == []


def panel_of(windows, minutes=MINUTES):
    """Return the cells of *windows* and their references."""
    reference = make_reference([WIND, CARRIER])
    references = {(key.model, key.version): reference for key in {window.key for window in windows}}
    return cells_over_time(windows, Axis(START_NS, MINUTE_NS, minutes), references), references


@pytest.mark.parametrize("lines", [1, 2, 6, 7, 40])
def test_many_versions_and_cohorts_share_the_last_line_and_no_row_is_lost(lines):
    """However many there are, at most six lines hold all rows, the busiest first."""
    windows = [
        window
        for line in range(lines)
        for window in windows_of(steady, SeriesKey("delays", f"v{line}", cohort=f"a={line}"), range(40 - line // 2))
    ]
    panel, references = panel_of(windows)
    tables = [tables_by_version(panel)]
    if lines > 1:
        tables.append(tables_by_cohort(windows, panel, references))
    else:
        assert tables_by_cohort(windows, panel, references) is None
    for table in tables:
        rows = table.of(0).sum(axis=(1, 2))
        assert rows.size == min(lines, 6) == len(table.lines)
        assert rows.sum() == pytest.approx(sum(window.rows for window in windows))
        assert (table.lines[-1] == "others") == (lines > 6)
        own = rows[: 5 if lines > 6 else None]
        assert (np.diff(own) <= 0).all()


@pytest.mark.parametrize("bound", [100, 2000, 10_000, 10**6])
def test_a_table_keeps_to_its_bytes_in_fewer_steps(monkeypatch, bound):
    """Steps are added up until the table fits, down to eight; the rows of every cell stay."""
    monkeypatch.setattr(feature_tables, "TABLE_BYTES", bound)
    windows = windows_of(changing)
    panel, _ = panel_of(windows)
    table = tables_by_version(panel)
    step_bytes = len(table.names) * table.cells * 4
    assert table.axis.size <= max(bound // step_bytes, 8)
    for feature in range(2):
        assert table.of(feature).sum(axis=1) == pytest.approx(panel.cells[:, :, feature].sum(axis=1))


@pytest.mark.parametrize("spread", ["distinct", "alike", "negative"])
def test_quantiles_are_those_of_the_values(spread):
    """Below the size from which a sketch samples, the quantiles of a step are those of its values, exactly."""
    rng = np.random.default_rng(1)
    draw = {
        "distinct": lambda: rng.gamma(3, 4, 40),
        "alike": lambda: np.full(40, 7.0),
        "negative": lambda: -rng.gamma(3, 4, 40),
    }[spread]
    values = [draw() for _ in range(8)]

    def sketches(minute):
        sketch = KllSketch()
        sketch.update(values[minute])
        return {("wind", "kll_double"): sketch.to_bytes()}

    windows = windows_of(steady, minutes=range(8), sketches=sketches)
    _, references = panel_of(windows)
    made = make_quantiles(windows, Axis(START_NS, MINUTE_NS, 8), references)
    expected = np.stack([np.quantile(each, [0.05, 0.25, 0.5, 0.75, 0.95], method="inverted_cdf") for each in values], 1)
    np.testing.assert_allclose(made.values["wind"], expected, rtol=1e-6)
