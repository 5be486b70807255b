"""Runbooks: a page for each alert, with the commands that find the cause, verify a fix, and roll it back.

Every step is a command of Radiosonde; `tests/unit/assets/test_runbooks.py` runs each through the command line's own parser. What differs
between alerts is in the catalogue of alerts, the common text of a subject is here.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from radiosonde.assets.asset import Asset, AssetOptions
from radiosonde.assets.prometheus.catalogue import ALERTS, AlertText

Step = tuple[str, str]
"""A step: its purpose, and the command."""


class Subject(NamedTuple):
    """The common text of the runbooks of one kind of alert.

    Attributes:
        find: steps that find the cause.
        verify: steps that show whether it is over.
        rollback: steps that undo or contain.
        pitfalls: misleading observations.
    """

    find: tuple[Step, ...]
    verify: tuple[Step, ...]
    rollback: tuple[Step, ...]
    pitfalls: tuple[str, ...]


_TRIAGE = ("The last minutes on one screen, beside what is usual", "radiosonde triage STORE --model MODEL")
_DIAGNOSE = (
    "What is wrong, where, since when, and how certain that is",
    "radiosonde diagnose STORE --model MODEL",
)
_OPEN = ("The incidents that are open, with their ids", "radiosonde incident list STORE --open")
_SHOW = ("The incident with its evidence and next steps", "radiosonde incident show STORE ID")
_VERIFY = (
    "Whether the rate is back to what was usual, and which rate would have been noticed (exit code 0: fixed)",
    "radiosonde incident verify STORE ID",
)
_FIXED_AT = ("The same, with the moment of the fix", "radiosonde incident verify STORE ID --since 2026-01-01T14:00Z")
_DECLARED = (
    "The command that restores the previous version, the flag and the owner, as declared in `radiosonde.toml`",
    "radiosonde config show",
)
_ACK = ("Acknowledge it, so that others know", 'radiosonde incident ack STORE ID --for 2h --why "rolling back"')
_EXCLUDE = (
    "When it is over, keep that time out of every baseline",
    'radiosonde baseline exclude STORE 2026-01-01T13:00Z 2026-01-01T15:00Z --why "outage"',
)
_CANARY = ("The new version beside the old one, by cohort", "radiosonde canary STORE --model MODEL")
_DOCTOR = ("What would be observed and exported in the server's environment", "radiosonde doctor")
_HELD = ("What the store holds of which model, and until when", "radiosonde store show STORE")

_ROLL_BACK = (_ACK, _DECLARED, _EXCLUDE)

SUBJECTS: Final[dict[str, Subject]] = {
    "failures": Subject(
        (
            _TRIAGE,
            _DIAGNOSE,
            _OPEN,
            _SHOW,
            ("The inputs that were in flight, if processes died", "radiosonde blackbox SPOOL --dead"),
        ),
        (_VERIFY, _FIXED_AT),
        _ROLL_BACK,
        (
            "A roll-back cures a version, not a cohort that fails in all versions: look at the place first.",
            "Retries raise calls and failures together; the share may stay while users suffer.",
            "The burn rate falls as soon as the window of an hour has passed, whether or not somebody fixed it.",
        ),
    ),
    "latency": Subject(
        (_TRIAGE, _DIAGNOSE, _OPEN, _SHOW),
        (_VERIFY, _FIXED_AT),
        _ROLL_BACK,
        (
            "The slowest phase is where the time goes, not always why: throttling and garbage collection slow all phases.",
            "A percentile over all cohorts hides one that waits ten times as long.",
            "More replicas do not help where a backend is the limit.",
        ),
    ),
    "absent": Subject(
        (_DOCTOR, _HELD, ("Whether anything was written lately (exit code 4: stale)", "radiosonde diagnose STORE")),
        (("Whether windows arrive again", "radiosonde store show STORE"), _TRIAGE),
        (_DECLARED,),
        (
            "No telemetry is not no traffic: a model that nobody calls keeps its series.",
            "A server that was renamed or moved to another job is absent under its former name for an hour.",
            "While it lasts, no other alert of this model can fire.",
        ),
    ),
    "features": Subject(
        (_DIAGNOSE, _OPEN, _SHOW, ("What the training data looked like", "radiosonde reference show REFERENCE")),
        (_VERIFY, _DIAGNOSE),
        (_ACK, _DECLARED, _EXCLUDE),
        (
            "Rolling the model back does not bring a feature back. Its producer is where to look.",
            "A season moves many features a little; a broken feature moves one a lot.",
            "A new reference built from broken rows makes the fault the norm.",
        ),
    ),
    "answers": Subject(
        (
            _DIAGNOSE,
            _CANARY,
            ("The features that moved before the answers did", "radiosonde triage STORE --model MODEL --last 60"),
        ),
        (_DIAGNOSE,),
        (_ACK, _DECLARED),
        (
            "Other answers to other inputs are right: look at the features first.",
            "Without labels, other answers are not worse answers.",
        ),
    ),
    "labels": Subject(
        (
            _DIAGNOSE,
            ("What a file of labels would do, by its results", "radiosonde label labels.csv --to STORE.labels.sqlite"),
            _DOCTOR,
        ),
        (("The quality of each version, or why it is not known", "radiosonde diagnose STORE --require labels"),),
        (_ACK,),
        (
            "Until slow labels have come, quality is that of what is labelled fast, which is often the easy part.",
            "Labels that come with another id are counted as unknown, not as missing.",
        ),
    ),
    "canary": Subject(
        (_CANARY, _DIAGNOSE, ("The same as one page", "radiosonde canary STORE --model MODEL --html canary.html")),
        (_CANARY,),
        (_ACK, _DECLARED),
        (
            "Labels of a version that was rolled out later are younger. Compare at equal lag, as these commands do.",
            "A canary that gets other callers than the stable version differs without being worse.",
        ),
    ),
    "host": Subject(
        (_TRIAGE, _DIAGNOSE, _OPEN),
        (_VERIFY, _TRIAGE),
        (_ACK, _DECLARED),
        (
            "CPU usage below the limit does not rule throttling out: the limit is kept in periods of a tenth of a second.",
            "More threads in numerical libraries make throttling worse.",
        ),
    ),
    "sdk": Subject(
        (_DOCTOR, _HELD),
        (_DOCTOR,),
        (("What is in force", "radiosonde config show"),),
        (
            "Predictions are not affected. The figures of all other alerts are too low by as much.",
            "A loss at the exit of short-lived processes is their number, not a fault that grows.",
        ),
    ),
    "watch": Subject(
        (
            ("Why it cannot look", "radiosonde watch STORE --once"),
            _HELD,
            ("What it would send, without sending it", "radiosonde watch STORE --dry-run"),
        ),
        (("Whether it looks (exit code of diagnose)", "radiosonde watch STORE --once"),),
        (("Older windows added up, where looks take long", "radiosonde store compact STORE"),),
        (
            "A second watch that stands by is no fault: it shows `radiosonde_watch_leading` 0.",
            "While it lasts, incidents are neither opened nor closed.",
        ),
    ),
    "incident": Subject(
        (_SHOW, _TRIAGE, _DIAGNOSE),
        (_VERIFY, _FIXED_AT),
        (
            *_ROLL_BACK,
            ("Let it call for nobody until the fix is out", 'radiosonde incident mute STORE ID --for 2h --why "known"'),
        ),
        (
            "The place is where it was found, with all others looked at; the cause may be upstream of it.",
            "A silence in Alertmanager is not known to the store; `incident mute` is, and ends by itself.",
        ),
    ),
}
"""By subject."""

SUBJECT_OF: Final[dict[str, str]] = {
    "RadiosondeFailuresFast": "failures",
    "RadiosondeFailuresSlow": "failures",
    "RadiosondeLatencyFast": "latency",
    "RadiosondeLatencySlow": "latency",
    "RadiosondeTelemetryAbsent": "absent",
    "RadiosondeFeatureEmpty": "features",
    "RadiosondeFeatureMissing": "features",
    "RadiosondeFeatureUnseen": "features",
    "RadiosondeFeatureShifted": "features",
    "RadiosondeClassesShifted": "answers",
    "RadiosondeLabelsStopped": "labels",
    "RadiosondeCanaryWrong": "canary",
    "RadiosondeCalibrationOff": "labels",
    "RadiosondeThrottled": "host",
    "RadiosondeLosing": "sdk",
    "RadiosondeSeriesCut": "sdk",
    "RadiosondeWatchSilent": "watch",
    "RadiosondeIncidentPage": "incident",
    "RadiosondeIncidentTicket": "incident",
}
"""By alert."""


def make(options: AssetOptions) -> list[Asset]:
    """Return the pages."""
    del options
    return [Asset(f"{name}.md", page(name, text)) for name, text in ALERTS.items()]


def page(name: str, text: AlertText) -> str:
    """Return the runbook of one alert."""
    subject = SUBJECTS[SUBJECT_OF[name]]
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
        _steps(subject.rollback),
        "## Pitfalls",
        "\n".join(f"* {each}" for each in subject.pitfalls),
    ]
    return "\n\n".join(parts) + "\n"


def _steps(steps: tuple[Step, ...]) -> str:
    return "\n\n".join(
        f"{number}. {what}:\n\n    ```console\n    $ {command}\n    ```"
        for number, (what, command) in enumerate(steps, 1)
    )
