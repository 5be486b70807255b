"""What a runbook lacks, part by part."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from radiosonde.config import read_text
from radiosonde.diagnose.finding import Checked, Diagnosis, Floor, NotChecked, Place
from radiosonde.runbook import lint
from radiosonde.runbook.lint import PARTS
from tests.unit.runbook.books import make_finding

TODAY = dt.date(2026, 11, 30)
FLOOR = Floor(0.01, "share", "1 % failing")
SEEN = Diagnosis((), (), (), (Checked("failures", Place("m"), "errors", (FLOOR,), name="failures"),), 0, 1, 1, 1)
COMPLETE = {
    "owner": '"Flight operations"',
    "contacts": '["#oncall"]',
    "rollback": '"undo"',
    "escalation": '["15m lead"]',
    "updates": '["#incidents"]',
    "pitfalls": '["Storms."]',
    "drilled": '"2026-11-02"',
    "slo.failures": "0.01",
    "slo.p99": '"1s"',
    "mitigate.canary_off": '"abort"',
    "mitigate.throttle": '"throttle"',
    "mitigate.fallback": '"fall back"',
    "mitigate.scale": '"scale"',
    "mitigate.restart": '"restart"',
}


def linted(keys=COMPLETE, diagnosis=SEEN):
    """Return the missing parts of a model with *keys*."""
    lines = [f"{key} = {value}" for key, value in keys.items()]
    configuration, problems = read_text("\n".join(["[model.m]", *lines]))
    assert problems == []
    return lint("m", configuration.of("m"), Path("radiosonde.toml"), diagnosis, TODAY)


def test_nothing_is_missing_where_everything_is_declared():
    """All parts are complete."""
    report = linted()
    assert (report.missing, report.complete) == ((), PARTS)


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("owner", "contacts"),
        ("contacts", "contacts"),
        ("escalation", "contacts"),
        ("updates", "contacts"),
        ("rollback", "rollback"),
        ("pitfalls", "pitfalls"),
        ("drilled", "drill"),
        ("slo.failures", "detection"),
        ("slo.p99", "detection"),
    ],
)
def test_a_key_that_is_missing_is_its_part_with_its_line(key, part):
    """Only that part, and the line that is to be added."""
    (missing,) = linted({name: value for name, value in COMPLETE.items() if name != key}).missing
    assert (missing.part, missing.table) == (part, "[model.m]")
    assert missing.line.startswith(f"{key} = ")


def test_kinds_without_any_mitigation_are_named_with_their_first_choice():
    """One line for each first choice."""
    keys = {name: value for name, value in COMPLETE.items() if "mitigate" not in name and name != "rollback"}
    missing = [each for each in linted(keys).missing if each.part == "mitigation"]
    assert any("version" in each.text and each.line == 'mitigate.canary_off = "..."' for each in missing)
    assert any("cohort" in each.text and each.line == 'mitigate.fallback = "..."' for each in missing)
    assert not any("label" in each.text for each in missing)


@pytest.mark.parametrize("value", ['"..."', '"<command>"', '"TODO"'])
def test_a_placeholder_is_missing(value):
    """It is named, and the key counts as not declared."""
    report = linted(COMPLETE | {"rollback": value})
    assert {each.part for each in report.missing} == {"mitigation", "rollback"}


@pytest.mark.parametrize(("day", "words"), [("2026-06-02", "181 days ago"), ("2026-12-01", "in the future")])
def test_a_drill_that_is_old_or_not_yet_is_missing(day, words):
    """The day is named."""
    (missing,) = linted(COMPLETE | {"drilled": f'"{day}"'}).missing
    assert (missing.part, words in missing.text, day in missing.text) == ("drill", True, True)


def test_half_a_year_is_not_too_old():
    """180 days are enough."""
    assert linted(COMPLETE | {"drilled": '"2026-06-03"'}).missing == ()


def test_a_store_that_is_unknown_or_without_the_model_is_missing():
    """Neither detection floors nor a verification are possible without windows."""
    assert [each.part for each in linted(diagnosis=None).missing] == ["detection", "verification"]
    other = replace(SEEN, checked=(replace(SEEN.checked[0], where=Place("x")),))
    (missing,) = linted(diagnosis=other).missing
    assert (missing.part, "no windows of m" in missing.text) == ("detection", True)


def test_a_check_whose_incident_goes_on_is_not_blind():
    """It would report nothing more, because it has reported already."""
    blind = replace(SEEN.checked[0], floors=(Floor(float("nan"), "", "nothing more while what was found goes on"),))
    finding = make_finding(where=Place("m"))
    assert linted(diagnosis=replace(SEEN, checked=(blind,), findings=(finding,))).missing == ()


def test_required_checks_that_were_not_made_and_floors_that_see_nothing_are_missing():
    """Both are named with the reason."""
    gap = NotChecked("latency", Place("m"), "too few calls", "latency")
    blind = replace(SEEN.checked[0], floors=(Floor(float("nan"), "", "nothing yet"),))
    report = linted(diagnosis=replace(SEEN, checked=(blind,), missing=(gap, replace(gap, where=Place("x")))))
    assert [(each.part, each.text) for each in report.missing] == [
        ("detection", "latency is not checked: too few calls"),
        ("verification", "failures: no change, however large, would be noticed yet"),
    ]
