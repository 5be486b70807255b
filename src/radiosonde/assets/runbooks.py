"""Runbooks: a page for each alert, with the commands that find the cause, verify a fix, and roll it back.

Every step is a command of Radiosonde; `tests/unit/assets/test_runbooks.py` runs each through the command line's own parser. What differs
between alerts is in the catalogue of alerts, the common text of a subject in `radiosonde.assets.subjects`.
"""

from __future__ import annotations

import re

from radiosonde.assets.asset import Asset, AssetOptions
from radiosonde.assets.kinds import SUBJECT_OF_ALERT
from radiosonde.assets.prometheus.catalogue import ALERTS, AlertText
from radiosonde.assets.subject import ACTIONS, EXAMPLES, Choice, RunbookStep
from radiosonde.assets.subjects import SUBJECTS

_PLACEHOLDERS = re.compile(rf"\b({'|'.join(EXAMPLES)})\b")


def make(options: AssetOptions) -> list[Asset]:
    """Return the pages."""
    del options
    return [Asset(f"{name}.md", page(name, text)) for name, text in ALERTS.items()]


def page(name: str, text: AlertText) -> str:
    """Return the runbook of one alert."""
    subject = SUBJECTS[SUBJECT_OF_ALERT[name]]
    held = "" if text.holds == "0m" else f" It has held for {text.holds} when it fires."
    parts = [
        f"# {name}",
        "<!-- Made by: radiosonde assets runbooks -->",
        f"{text.meaning}\n\nTier: {text.severity}.{held} STORE is the store of your servers or agent, MODEL and ID stand in the alert's labels.",
        "## Find the cause",
        _steps(subject.find),
        "Then:",
        "\n".join(f"* {step}" for step in text.steps),
        "## Verify",
        _steps(subject.verify),
        "## Roll back or contain",
        _steps(subject.contain),
        *_choices(subject.choices),
        "## Pitfalls",
        "\n".join(f"* {each}" for each in subject.pitfalls),
    ]
    return "\n\n".join(parts) + "\n"


def _steps(steps: tuple[RunbookStep, ...]) -> str:
    return "\n\n".join(
        f"{number}. {step.purpose}:\n\n    ```console\n    $ {_with_examples(step.command)}\n    ```"
        for number, step in enumerate(steps, 1)
    )


def _with_examples(command: str) -> str:
    return _PLACEHOLDERS.sub(lambda found: EXAMPLES[found[0]], command)


def _choices(choices: tuple[Choice, ...]) -> list[str]:
    """Return the mitigations with their keys; `radiosonde incident runbook` prints the commands that are declared."""
    if not choices:
        return []
    lines = [f"* {ACTIONS[each.key]} (`{each.key}`). When: {each.when} Not when: {each.unless}" for each in choices]
    return [
        "Then choose among the mitigations that the team declared in `radiosonde.toml`, the first choice first:",
        "\n".join(lines),
    ]
