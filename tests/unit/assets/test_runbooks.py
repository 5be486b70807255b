"""Each alert has a runbook, and each of its steps is a command that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from radiosonde import cli
from radiosonde.assets import AssetOptions, runbooks
from radiosonde.assets.asset import runbook_url
from radiosonde.assets.kinds import KINDS, SUBJECT_OF_ALERT
from radiosonde.assets.prometheus.catalogue import ALERTS
from radiosonde.assets.subject import ACTIONS
from radiosonde.assets.subjects import SUBJECTS
from radiosonde.config.keys import ModelConfig, declared_keys
from radiosonde.diagnose.finding import Kind

PAGES = {asset.path: asset.content for asset in runbooks.make(AssetOptions())}


def test_every_alert_has_a_page_and_every_page_an_alert():
    """No more, no less, and no subject that nobody uses."""
    assert set(PAGES) == {f"{name}.md" for name in ALERTS}
    assert set(SUBJECT_OF_ALERT) == set(ALERTS)
    assert {*SUBJECT_OF_ALERT.values(), *(text.subject for text in KINDS.values())} == set(SUBJECTS)


def test_every_kind_of_incident_has_a_subject_and_the_meaning_that_the_documentation_gives():
    """The kinds are those of a diagnosis and of the table of its page."""
    assert set(KINDS) == set(get_args(Kind))
    table = Path("docs/diagnose.md").read_text("utf-8").partition("## Kinds")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE))
    assert {kind: text.meaning for kind, text in KINDS.items()} == rows


def test_every_mitigation_is_a_key_of_the_configuration_and_belongs_to_a_subject():
    """A choice without a key could not be declared, and a key without a choice would never be printed."""
    declared = {".".join(key.path) for key in declared_keys(ModelConfig)}
    assert set(ACTIONS) == {"rollback", *(key for key in declared if key.startswith("mitigate."))}
    chosen = [choice for subject in SUBJECTS.values() for choice in subject.choices]
    assert {choice.key for choice in chosen} == set(ACTIONS)
    assert all(text.endswith(".") for choice in chosen for text in (choice.when, choice.unless))


@pytest.mark.parametrize("name", ALERTS)
def test_a_runbook_has_its_four_parts_and_says_what_the_alert_says(name):
    """Cause, verification, roll-back, pitfalls; each with something in it."""
    page = PAGES[f"{name}.md"]
    parts = re.split(r"^## (.+)$", page, flags=re.MULTILINE)
    assert parts[1::2] == ["Find the cause", "Verify", "Roll back or contain", "Pitfalls"]
    assert all(part.strip() for part in parts[2::2])
    assert ALERTS[name].meaning in parts[0]
    assert all(step in page for step in ALERTS[name].steps)


@pytest.mark.parametrize("command", sorted({line.strip()[2:] for page in PAGES.values() for line in page.splitlines() if line.strip().startswith("$ ")}))  # fmt: skip
def test_every_step_is_a_command_of_ours(command):
    """It is taken by the command line's own parser, options and all."""
    import shlex

    program, *arguments = shlex.split(command)
    assert program == "radiosonde"
    chosen = cli._chosen(arguments)
    assert chosen is not None
    cli._parser(chosen, chosen.load()).parse_args(arguments)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("runbooks/{alert}.md", "runbooks/RadiosondeLosing.md"),
        ("https://wiki.example/r/", "https://wiki.example/r/RadiosondeLosing"),
        ("https://wiki.example/?page={alert}&v=1", "https://wiki.example/?page=RadiosondeLosing&v=1"),
        ("https://wiki.example/{other}/", "https://wiki.example/{other}/RadiosondeLosing"),
    ],
)
def test_where_a_runbook_is(address, url):
    """The name takes its place, or is appended."""
    assert runbook_url(address, "RadiosondeLosing") == url
