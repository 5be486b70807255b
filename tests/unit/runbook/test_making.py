"""Runbooks from findings: impact and waiting time against counts by hand, gaps, and what is left out."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radiosonde.assets.kinds import KINDS
from radiosonde.config import Configuration, read_text
from radiosonde.diagnose.finding import Diagnosis, Onset, Place
from radiosonde.diagnose.registry import all_checks
from radiosonde.diagnose.verification import MeasuredRate, verify
from radiosonde.model import SeriesKey
from radiosonde.runbook import RunbookContext, make_prepared, make_runbook
from radiosonde.runbook.declared import is_placeholder
from radiosonde.runbook.impact import Affected, ServedCalls, affected_by
from radiosonde.runbook.waiting import wait_words
from tests.factories import HOUR_NS, START_NS
from tests.unit.runbook.books import make_finding
from tests.unit.store.strategies import make_part

HEALTHY = Diagnosis((), (), (), (), START_NS, START_NS + 60 * HOUR_NS, 0, 60)


def context(text="", **changes):
    """Return the context of a store whose configuration is *text*."""
    configuration, problems = read_text(text)
    assert problems == []
    given = {"config": configuration.of("delays"), "path": Path("/etc/radiosonde.toml") if text else None}
    return RunbookContext("delays", "/data/a.sqlite", HEALTHY, **(given | changes))


def test_the_impact_is_counted_from_the_onset_at_the_place():
    """Calls, rows and failures of overlapping windows, by series; other places count for the share only."""
    hit, other = SeriesKey("delays", "2", "", "plan=pro"), SeriesKey("delays", "1", "", "plan=free")
    parts = [
        make_part(
            10, key=key, start_ns=START_NS + hour * HOUR_NS, end_ns=START_NS + (hour + 1) * HOUR_NS, errors=errors
        )
        for hour in range(40)
        for key, errors in ((hit, {"KeyError": 4} if hour >= 30 else {}), (other, {}))
    ]
    parts.append(replace(parts[-1], key=SeriesKey("another", "1")))
    finding = make_finding(
        where=Place("delays", version="2"), onset=Onset(START_NS + 30 * HOUR_NS, 0, 0, START_NS + 35 * HOUR_NS)
    )
    rows = sum(part.rows for part in parts[60:70:2])
    failing = ServedCalls(50, rows, 20)
    assert affected_by(parts, finding) == Affected(
        failing, ServedCalls(100, rows + sum(part.rows for part in parts[61:70:2]), 20), ((hit, failing),)
    )
    assert affected_by([], finding).everywhere.calls == 0


@pytest.mark.parametrize(("usual", "ill", "calls"), [(0.0, 0.3, 100), (0.01, 0.2, 1000), (0.001, 1.0, 40)])
def test_after_the_wait_a_healthy_model_is_verified_and_before_it_is_not(usual, ill, calls):
    """The calls that the page asks for are enough for the answer *fixed*, and a third of them are not."""
    steps = np.arange(120, dtype=np.int64)
    hits = np.where(steps < 100, usual * calls, ill * calls)
    start = START_NS + steps * 60_000_000_000
    measured = MeasuredRate(start, start + 60_000_000_000, hits, np.full(120, float(calls)), "calls that fail")
    finding = make_finding(onset=Onset(int(start[100]), int(start[100]), int(start[100])))
    words = wait_words(finding, measured)
    needed = int(re.search(r"At least ([\d ]+) calls", words)[1].replace(" ", ""))
    end = int(measured.end_ns[-1])

    def answer(more):
        after = MeasuredRate(
            np.append(start, end), np.append(measured.end_ns, end + 60_000_000_000),
            np.append(hits, np.floor(usual * more)), np.append(measured.trials, float(more)), "calls that fail",
        )  # fmt: skip
        return verify(after, finding.onset.at_ns, end).answer

    assert answer(needed) == "fixed"
    assert answer(needed // 3) == "unknown"


def test_an_incident_without_a_rate_and_one_that_is_over_say_how_they_are_verified():
    """By its state after as long as it took to find, at least an hour; at once if it is over."""
    assert "after 1 h without the fault" in wait_words(make_finding(), None)
    onset = make_finding().onset
    assert "after 5 h without" in wait_words(make_finding(opened_ns=onset.at_ns + 5 * HOUR_NS), None)
    over = make_finding(onset=replace(onset, ended_ns=onset.at_ns + HOUR_NS), state="verified")
    assert wait_words(over, None) == "It ended at 2013-03-02T07:00Z and is verified: verify now."


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_declared_is_a_gap_and_its_lines_fill_it(kind):
    """No command is invented; the lines that the page lists, with real values, leave no gap."""
    book = make_runbook(context(), make_finding(kind), "wait")
    assert all(not each.command for each in (*book.mitigations, book.last_resort))
    (table,) = {gap.table for gap in book.gaps}
    text = "\n".join([table, *(gap.line for gap in book.gaps)])
    assert all(is_placeholder(text) for value in _values(tomllib.loads(text)) for text in value)
    assert make_runbook(context(text), make_finding(kind), "wait").gaps == book.gaps
    full = make_runbook(context(text.replace("...", "real value")), make_finding(kind), "wait")
    assert full.gaps == ()
    assert {each.command for each in (*full.mitigations, full.last_resort)} == {"real value"}


def _values(table):
    """Yield the texts of each value of *table*, in lists."""
    for value in table.values():
        if isinstance(value, dict):
            yield from _values(value)
        else:
            yield value if isinstance(value, list) else [value]


@pytest.mark.parametrize("text", ["...", "15m ...", "<command>", "kubectl <your deployment>", "TODO", "run FIXME now"])
def test_a_placeholder_is_no_value(text):
    """It would be copied into a shell."""
    assert is_placeholder(text)


@pytest.mark.parametrize(
    "text", ["cmd < in > out", "cat <<<word", "a <(b) >(c)", "kubectl rollout undo deployment/x", "go list ./...x"]
)
def test_a_command_is_a_value(text):
    """Redirections and paths are no placeholders."""
    assert not is_placeholder(text)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prepared_page_and_that_of_an_incident_have_every_part(kind):
    """Each kind has pitfalls, a way to find the cause, to verify, and to roll back."""
    for book in (make_prepared(context(), kind), make_runbook(context(), make_finding(kind), "wait")):
        assert book.find
        assert book.verify
        assert book.pitfalls
        assert book.wait
        assert book.detection
        assert book.contacts
        assert book.last_resort.when


def test_an_incident_that_is_over_is_not_acknowledged_and_its_end_is_the_moment_of_the_fix():
    """Commands have the moment that is known; an open incident has none that could be printed."""
    onset = make_finding().onset
    over = make_runbook(context(), make_finding(onset=replace(onset, ended_ns=onset.at_ns + HOUR_NS)), "wait")
    commands = [step.command for step in (*over.find, *over.contain, *over.verify)]
    assert "radiosonde incident verify /data/a.sqlite 20130302-abcdef --since 2013-03-02T07:00Z" in commands
    assert not any(" ack " in command for command in commands)
    still = make_runbook(context(), make_finding(), "wait")
    assert not any("--since" in step.command for step in still.verify)
    assert any(" ack " in step.command for step in still.contain)


def test_a_query_of_sqlite_is_left_out_where_there_is_no_file_for_it():
    """Folders of sealed hours and databases have none; the path is filled in where there is one."""
    assert not any("sqlite3" in step.command for step in make_runbook(context(), make_finding(), "wait").find)
    filled = context(command=lambda command: command.replace("STORE", "/data/a.sqlite", 1))
    commands = [step.command for step in make_runbook(filled, make_finding(), "wait").find]
    assert "sqlite3 -box /data/a.sqlite 'SELECT 1'" in commands


def test_the_escalation_has_its_moments_and_pitfalls_of_the_team_follow_those_of_the_kind():
    """Times are counted from the detection."""
    text = '[model.delays]\nescalation = ["15m lead, +1 555", "1h head"]\npitfalls = ["Storms."]\nflag = "v2"\n'
    book = make_runbook(context(text), make_finding(), "wait")
    said = {each.label: each.text for each in book.contacts}
    assert said["After 15m (2013-03-02T07:15Z)"] == "lead, +1 555"
    assert said["After 1h (2013-03-02T08:00Z)"] == "head"
    assert book.pitfalls[-1] == "Storms."
    assert "radiosonde config show /etc/radiosonde.toml" in [step.command for step in book.contain]


def test_every_kind_names_checks_and_every_check_belongs_to_a_kind():
    """A check without a kind would not be listed on any prepared page; what failing calls share is part of another finding."""
    named = {name for text in KINDS.values() for name in text.checks}
    assert named == {check.name for check in all_checks()} - {"failing_calls"}


def test_a_configuration_without_the_model_falls_back_to_its_defaults():
    """Declarations in [defaults] hold for every model."""
    book = make_runbook(context('[defaults]\nrollback = "undo"\n'), make_finding(), "wait")
    assert book.last_resort.command == "undo"
    assert Configuration().of("x").rollback == ""
