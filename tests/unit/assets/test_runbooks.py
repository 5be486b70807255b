"""Each alert has a runbook, and each of its steps is a command that there is."""

from __future__ import annotations

import re

import pytest

from radiosonde import cli
from radiosonde.assets import AssetOptions, runbooks
from radiosonde.assets.asset import runbook_url
from radiosonde.assets.prometheus.catalogue import ALERTS

PAGES = {asset.path: asset.content for asset in runbooks.make(AssetOptions())}


def test_every_alert_has_a_page_and_every_page_an_alert():
    """No more, no less, and no subject that nobody uses."""
    assert set(PAGES) == {f"{name}.md" for name in ALERTS}
    assert set(runbooks.SUBJECT_OF) == set(ALERTS)
    assert set(runbooks.SUBJECT_OF.values()) == set(runbooks.SUBJECTS)


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
