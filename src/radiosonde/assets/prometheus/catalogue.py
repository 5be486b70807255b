"""The documentation of alerts: tier, times, summary, meaning and what to do. ``docs/alerts.md`` is generated from this.

* *page*: facts that need no model of the data (the error budget burns, telemetry is absent, a feature that was never empty is), and
  incidents that a diagnosis beside the data has found.
* *ticket*: work for the next day.
* *info*: distances such as PSI, which seasons and weekends move. On ten healthy model-months of real flights PSI above 0.2 fires two dozen
  times per model and month. They are shown and never sent.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from radiosonde.assets.names import label
from radiosonde.semconv import attributes as names

Severity = Literal["page", "ticket", "info"]


def _of(attribute: str) -> str:
    """Return the template of a label."""
    return f"{{{{ $labels.{label(attribute)} }}}}"


_MODEL = f"{_of(names.MODEL_NAME)} {_of(names.MODEL_VERSION)}"
_FEATURE = f"{_of(names.FEATURE_NAME)} of {_MODEL}"
_SHARE = "{{ $value | humanizePercentage }}"


class AlertText(NamedTuple):
    """The documentation of one alert.

    Attributes:
        severity: its tier.
        holds: how long the expression must hold first.
        keeps: how long it fires on after that.
        summary: template of one line that names the place.
        meaning: its interpretation.
        steps: actions, in order.
    """

    severity: Severity
    holds: str
    keeps: str
    summary: str
    meaning: str
    steps: tuple[str, ...]


ALERTS: Final[dict[str, AlertText]] = {
    "RadiosondeFailuresFast": AlertText(
        "page", "2m", "10m", f"{_SHARE} of the calls of {_MODEL} fail",
        "The error budget of 30 days burns 14.4 times too fast, over one hour and over the last five minutes, with at least ten failures.",
        ("Look at radiosonde_prediction_errors_total by error_type and version: one version is a roll-back, all versions are the input or the host.",
         "Run `radiosonde diagnose` on the store: it names the cohort, the version and the onset.",
         "Look at the last inputs with `radiosonde blackbox` if processes die."),
    ),
    "RadiosondeFailuresSlow": AlertText(
        "ticket", "15m", "30m", f"{_SHARE} of the calls of {_MODEL} fail, slowly using up the error budget",
        "The error budget burns 6 times too fast, over six hours and over the last half hour, with at least ten failures.",
        ("As for RadiosondeFailuresFast, by the next working day.",),
    ),
    "RadiosondeLatencyFast": AlertText(
        "page", "2m", "10m", f"{_SHARE} of the calls of {_MODEL} are slower than the objective",
        "More than 14.4 % of calls are above the bound of the 99th percentile, over one hour and over the last five minutes.",
        ("Look at radiosonde:tail:seconds1h by phase: the phase that holds the seconds is where to look.",
         "Compare with CPU throttling, garbage collection and the event loop of the process.",
         "Open an exemplar of a slow bucket: its trace shows one such call."),
    ),
    "RadiosondeLatencySlow": AlertText(
        "ticket", "15m", "30m", f"{_SHARE} of the calls of {_MODEL} are slower than the objective",
        "More than 6 % of calls are above the bound of the 99th percentile, over six hours and over the last half hour.",
        ("As for RadiosondeLatencyFast, by the next working day.",),
    ),
    "RadiosondeTelemetryAbsent": AlertText(
        "page", "10m", "15m", f"no telemetry of {_of(names.MODEL_NAME)}",
        "A model that was observed for most of the last day is not any more. Nothing else about it can be known; silence is not health. It ends an hour "
        "after a model was switched off on purpose. Jobs, models in office hours and those that are scaled to nothing are not asked for. A model that is "
        "new is asked for after three hours, while a scrape target of its job does not answer.",
        ("Look at `up` of the job: is the server there, does it answer scrapes?",
         "Run `radiosonde doctor` where it runs."),
    ),
    "RadiosondeFeatureEmpty": AlertText(
        "page", "15m", "30m", f"{_FEATURE} is missing in {_SHARE} of the rows",
        "A feature that is never missing, in the reference and over the last week, is missing in more than half of the rows of an hour.",
        ("Ask the owner of the feature's source what changed at the onset.",
         "`radiosonde diagnose` lists the cohorts, and the predictions to repeat."),
    ),
    "RadiosondeFeatureMissing": AlertText(
        "ticket", "1h", "1h", f"{_FEATURE} is missing in {_SHARE} of the rows",
        "A feature that is never missing, in the reference and over the last week, is missing in more than a fifth of the rows of an hour.",
        ("As for RadiosondeFeatureEmpty, by the next working day.",),
    ),
    "RadiosondeFeatureUnseen": AlertText(
        "page", "15m", "30m", f"{_FEATURE} has values that the reference does not know in {_SHARE} of the rows",
        "Categories that training never saw, or text where numbers were, in at least twenty rows of an hour, where such values are unusual.",
        ("Compare the values in a sampled span or in the store with those of training: a new spelling, a new unit, a new source.",),
    ),
    "RadiosondeFeatureShifted": AlertText(
        "info", "6h", "1h", f"{_FEATURE}: PSI {{{{ $value | humanize }}}} against the reference",
        "The distribution is another than in the reference. A season does this too, so nobody is called.",
        ("Look at radiosonde:feature:location1h: how far, and in which direction.",
         "`radiosonde diagnose` compares with the past at the same hour and weekday."),
    ),
    "RadiosondeClassesShifted": AlertText(
        "info", "6h", "1h", f"the answers of {_MODEL} have other shares than last week (PSI {{{{ $value | humanize }}}})",
        "The shares of the predicted classes are others than over the last week.",
        ("Look at the features first; if none moved, at the model's version.",),
    ),
    "RadiosondeLabelsStopped": AlertText(
        "ticket", "30m", "1h", f"labels of {_of(names.MODEL_NAME)} stopped: its quality is unknown, not good",
        "A model that had labels over the last week had none in six hours, and was asked all the same.",
        ("Look at radiosonde_sdk_labels_total by result: none received is the feed, unknown ids are the join.",),
    ),
    "RadiosondeCanaryWrong": AlertText(
        "ticket", "15m", "1h",
        f"the canary of {_of(names.MODEL_NAME)} is wrong more often, among labels that came within {_of(names.LABEL_LAG)}",
        "The evidence against equal error, at equal age of the labels, is above 1000 to 1, however often it was looked at.",
        ("Compare the versions in `radiosonde diagnose`; roll the canary back.",),
    ),
    "RadiosondeCalibrationOff": AlertText(
        "info", "1h", "1h", f"confidence of {_MODEL} is off by {_SHARE} on average",
        "The expected calibration error of a day's labels is above a tenth. Until slow labels have come it is biased.",
        ("Look at it by confidence bin: all above or all below is a changed base rate.",),
    ),
    "RadiosondeThrottled": AlertText(
        "ticket", "15m", "30m", f"{_SHARE} of the CPU periods of a model server are throttled",
        "The control group reaches its CPU limit in more than a quarter of the periods: latency has a floor that no code change lifts.",
        ("Raise the CPU limit, or lower the threads of numerical libraries.",),
    ),
    "RadiosondeLosing": AlertText(
        "ticket", "15m", "30m", "Radiosonde loses telemetry: {{ $value | humanize }} losses in an hour",
        "More losses than one in a hundred records, and at least a hundred. The other figures are too low by as much. Predictions are not affected.",
        ("Look at radiosonde_sdk_losses_total by radiosonde_loss_reason; the page on limits says what to do for each.",),
    ),
    "RadiosondeSeriesCut": AlertText(
        "ticket", "30m", "1h", "{{ $value }} time series are cut by the cardinality bound",
        "Cohorts, features or versions are more than one export holds; the least used are left out.",
        ("Allow fewer cohort values, or raise `max_exported_series`.",),
    ),
    "RadiosondeWatchSilent": AlertText(
        "ticket", "15m", "15m", "radiosonde watch has not looked for {{ $value | humanizeDuration }}",
        "The diagnosis that runs beside the data has not looked for a quarter of an hour, or its metrics are gone since less than a day. Until it does, "
        "RadiosondeIncidentPage and RadiosondeIncidentTicket are silent whatever happens.",
        ("Look whether `radiosonde watch` runs, and at what it prints.",
         "Run `radiosonde watch STORE --once`: it says why it cannot look.",
         "If the store has grown so large that a look takes minutes, run `radiosonde store seal`."),
    ),
    "RadiosondeIncidentPage": AlertText(
        "page", "0m", "5m", f"{_of(names.INCIDENT_NAME)} at {_of(names.INCIDENT_PLACE)} of {_MODEL}",
        "A diagnosis that runs beside the data has found an incident that needs somebody now, and exports it as radiosonde_incident_active.",
        ("Open the finding: `radiosonde diagnose` prints it with its onset, what it affects and the next steps.",),
    ),
    "RadiosondeIncidentTicket": AlertText(
        "ticket", "0m", "5m", f"{_of(names.INCIDENT_NAME)} at {_of(names.INCIDENT_PLACE)} of {_MODEL}",
        "A diagnosis that runs beside the data has found an incident that can wait for the next working day.",
        ("As for RadiosondeIncidentPage.",),
    ),
}  # fmt: skip
"""By name of the alert."""
