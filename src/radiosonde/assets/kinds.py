"""The kinds of incidents with their meaning, and the subject of each kind and of each alert (`radiosonde.assets.subjects`)."""

from __future__ import annotations

from typing import Final, NamedTuple


class KindText(NamedTuple):
    """The subject of one kind of incident.

    Attributes:
        subject: key of `radiosonde.assets.subjects.SUBJECTS`.
        meaning: meaning of the kind, as in the documentation of `radiosonde diagnose`.
        checks: names of the checks that find it.
    """

    subject: str
    meaning: str
    checks: tuple[str, ...]


SUBJECT_OF_ALERT: Final[dict[str, str]] = {
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

KINDS: Final[dict[str, KindText]] = {
    "data": KindText("features", "the input changed: another unit, missing values, unseen categories, a stuck value, values far out of range", ("features", "feature_cells")),
    "version": KindText("canary", "one model version (or one cohort of it) fails, or is wrong, more often than before or than the others", ("failures", "tail_latency", "labels")),
    "cohort": KindText("cohort", "one cohort (of one or several dimensions) fails, in all versions", ("failures",)),
    "errors": KindText("failures", "calls fail in all versions and cohorts, except those listed as unaffected", ("failures",)),
    "latency": KindText("latency", "the slow calls became slower, attributed to phases; over time, or one version against the others", ("tail_latency",)),
    "runtime": KindText("host", "the processes stall: garbage collections or thread-pool waits above a second, event-loop lag above half a second, in more than one of a hundred; they are short of CPU, memory or disks and calls are slow of it; memory reaches its limit", ("runtime", "pressure", "memory")),
    "traffic": KindText("traffic", "calls stopped, fell below 70 % or doubled; the calls of one cohort did; a canary gets less than its share, or one cohort gets another share of it than the others", ("traffic", "split")),
    "answers": KindText("answers", "the shares of classes, confidences or values in the outputs of the model, of a version or of a cohort changed, or differ from the reference", ("answers",)),
    "quality": KindText("quality", "wrong outputs increased in all versions", ("labels",)),
    "label": KindText("labels", "labels stopped, or arrived at a fraction of the usual rate for a day: quality is unknown", ("labels",)),
    "telemetry": KindText("absent", "a process is alive but counts no calls while others of its version continue; a clock was set back; too few rows are sampled", ("telemetry",)),
    "drift": KindText("drift", "a distribution changed while its values stayed valid: a season, other users", ("features",)),
}  # fmt: skip
"""By kind of incident."""
