"""The keys of `radiosonde.toml`, each declared once: name, kind of values (type, unit, bounds), default, documentation, example.

The file has two places for the keys of a model: ``[defaults]``, which holds for every model, and ``[model.NAME]``, which wins. A table
inside them, or ``[watch]``, is a dataclass here. A new key is one field.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from radiosonde.config import values
from radiosonde.config.values import ValueKind

_DECLARED = "radiosonde.config"


@dataclass(frozen=True, slots=True)
class DeclaredKey:
    """The declaration of a key besides its name and default.

    Attributes:
        kind: kind of its values.
        doc: its documentation.
        example: an example value in the syntax of the file.
    """

    kind: ValueKind
    doc: str
    example: str


def _key(default: Any, kind: ValueKind, doc: str, example: str) -> Any:
    return field(default=default, metadata={_DECLARED: DeclaredKey(kind, doc, example)})


@dataclass(frozen=True, slots=True)
class Objectives:
    """Service level objectives of one model; None where nothing was declared. Each field is documented by its declaration."""

    failures: float | None = _key(
        None,
        values.share(1e-6, 0.9),
        "Largest share of calls that may fail. A larger share is a finding, whatever the history. Without it, more than "
        "5 % of at least 20 calls is one.",
        "0.01",
    )
    p99: float | None = _key(
        None,
        values.duration("1ms", "1h"),
        "Bound of the 99th percentile of the latency. More than one call in a hundred above it is a finding, whatever the history.",
        '"250ms"',
    )
    labels: float | None = _key(
        None,
        values.duration("1m", "1000w"),
        "Largest age of the newest prediction that has a label. An older one is a finding, even if no label ever arrived.",
        '"36h"',
    )


@dataclass(frozen=True, slots=True)
class Mitigations:
    """Commands of the owning team that contain an incident. Only `radiosonde incident mitigate --run` runs one."""

    flag_off: str = _key(
        "",
        values.line(1000),
        "Command that switches the feature flag of the model off.",
        '"flagctl set delays-v2 off"',
    )
    canary_off: str = _key(
        "",
        values.line(1000),
        "Command that shifts the weight of the canary to 0.",
        '"kubectl argo rollouts abort delays"',
    )
    throttle: str = _key(
        "",
        values.line(1000),
        "Command that limits the calls that the model accepts.",
        '"gatewayctl limit delays --rps 200"',
    )
    scale: str = _key(
        "",
        values.line(1000),
        "Command that adds processes or cores.",
        '"kubectl scale deployment/delays --replicas=12"',
    )
    fallback: str = _key(
        "",
        values.line(1000),
        "Command that serves a fallback instead of the model: a simpler model, a rule, or the last known answer.",
        '"gatewayctl route delays --to delays-rules"',
    )
    restart: str = _key(
        "",
        values.line(1000),
        "Command that restarts the processes of the model, one after the other.",
        '"kubectl rollout restart deployment/delays"',
    )


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Everything declared about one model. Each field is documented by its declaration."""

    owner: str = _key(
        "", values.line(200), "Team or person who owns the model; printed beside each finding.", '"Flight operations"'
    )
    contacts: tuple[str, ...] = _key(
        (),
        values.lines(10, 200),
        "Where to reach the owner: addresses, channels, telephone numbers; printed beside each finding.",
        '["#delays-oncall", "oncall@example.com"]',
    )
    rollback: str = _key(
        "",
        values.line(1000),
        "Command that restores the previous version. It is printed beside findings that a rollback may cure.",
        '"kubectl rollout undo deployment/delays"',
    )
    flag: str = _key("", values.line(200), "Feature flag that switches the model or its new version.", '"delays-v2"')
    mitigate: Mitigations = field(default_factory=Mitigations)
    escalation: tuple[str, ...] = _key(
        (),
        values.timed_lines(10, 200),
        "Whom to call next while an incident is not contained: the time since the page, then the person or team.",
        '["15m team lead, +353 1 555 0100", "1h head of platform"]',
    )
    updates: tuple[str, ...] = _key(
        (),
        values.lines(10, 200),
        "Where stakeholders read updates about incidents.",
        '["#incidents", "status@example.com"]',
    )
    pitfalls: tuple[str, ...] = _key(
        (),
        values.lines(20, 400),
        "Misleading observations that are particular to this model; printed in its runbooks.",
        '["Flights are cancelled in bulk after storms: traffic halves without a fault."]',
    )
    drilled: str = _key(
        "",
        values.date(),
        "Day on which a person last went through the runbook of this model as a drill.",
        '"2026-11-02"',
    )
    slo: Objectives = field(default_factory=Objectives)


CPU = values.share(0.001, 1.0)
"""Shares of a core for a watch."""


@dataclass(frozen=True, slots=True)
class WatchConfig:
    """Settings of `radiosonde watch`. Each field is documented by its declaration."""

    alertmanagers: tuple[str, ...] = _key(
        (),
        values.addresses(8),
        "Alertmanagers that get one alert for each open incident; all of them, where there are several.",
        '["http://127.0.0.1:9093"]',
    )
    webhooks: tuple[str, ...] = _key(
        (),
        values.addresses(8),
        "Addresses to which each event is sent as JSON.",
        '["https://hooks.example.com/radiosonde"]',
    )
    webhook_template: str = _key(
        "",
        values.line(4096),
        "JSON file that says what webhooks are sent, with ${title} and its like in its texts; relative to the folder of this file.",
        '"webhook.json"',
    )
    slack: tuple[str, ...] = _key(
        (), values.addresses(8), "Incoming webhooks of Slack, or of what takes its format.", '["env:SLACK_WEBHOOK"]'
    )
    pagerduty: tuple[str, ...] = _key(
        (),
        values.lines(8, 200),
        "Routing keys of PagerDuty's Events API v2, or env:NAME to read one from a variable.",
        '["env:PAGERDUTY_KEY"]',
    )
    pagerduty_url: str = _key(
        "https://events.pagerduty.com/v2/enqueue",
        values.line(2000),
        "Where PagerDuty, or what takes its format, receives events.",
        '"https://events.eu.pagerduty.com/v2/enqueue"',
    )
    notify: str = _key(
        "ticket", values.choice("page", "ticket"), "Lowest severity of incidents that are notified.", '"page"'
    )
    per_hour: int = _key(
        60,
        values.whole(1, 10_000),
        "Notifications an hour and channel at most, in the long run; more wait. A third of them may come at once.",
        "60",
    )
    labels: tuple[str, ...] = _key(
        (),
        values.lines(10, 200),
        "Labels NAME=VALUE that every alert gets, such as those by which Alertmanager groups.",
        '["job=delays", "cluster=eu"]',
    )
    runbooks: str = _key(
        "",
        values.line(2000),
        "Address under which the pages of `radiosonde assets runbooks` are served; the name of the alert is appended.",
        '"https://wiki.example.com/runbooks/"',
    )
    dashboards: str = _key(
        "",
        values.line(2000),
        "Address of a dashboard, with {model}, {version}, {from_ms} and {to_ms} where they belong.",
        '"https://grafana.example.com/d/radiosonde-model?var-model={model}&from={from_ms}&to={to_ms}"',
    )
    traces: str = _key(
        "",
        values.line(2000),
        "Address of a trace, with {trace_id} where it belongs.",
        '"https://tempo.example.com/trace/{trace_id}"',
    )
    every: float = _key(
        60.0,
        values.duration("1s", "1d"),
        "Time between two diagnoses at least; windows that are longer are waited for.",
        '"60s"',
    )
    cpu: float = _key(
        0.01,
        CPU,
        "Share of a core for diagnoses without an occasion, in the long run. Failures are looked at in every window whatever it is; with many models "
        "and features, other kinds of incidents are found sooner with a larger one.",
        "0.05",
    )
    host: str = _key("127.0.0.1", values.line(255), "Address on which the watch serves its metrics.", '"0.0.0.0"')
    port: int = _key(
        9465, values.whole(0, 65_535), "Port on which the watch serves its metrics; 0 takes a free one.", "9465"
    )


@dataclass(frozen=True, slots=True)
class Configuration:
    """A whole file.

    Attributes:
        path: the file; None if there is none.
        defaults: defaults for every model.
        models: keys by model, completed by *defaults*.
        store: default store of commands; relative to the file's folder.
        watch: settings of `radiosonde watch`.
        lines: line of each declared key, by its dotted name.
    """

    path: Path | None = None
    defaults: ModelConfig = field(default_factory=ModelConfig)
    models: Mapping[str, ModelConfig] = field(default_factory=dict)
    store: str = _key(
        "",
        values.line(4096),
        "Store to use where a command names none; relative to the folder of this file.",
        '"delays.sqlite"',
    )
    watch: WatchConfig = field(default_factory=WatchConfig)
    lines: Mapping[str, int] = field(default_factory=dict)

    def of(self, model: str) -> ModelConfig:
        """Return the declarations about *model*."""
        return self.models.get(model, self.defaults)


TABLES: Mapping[type, Mapping[str, type]] = {
    ModelConfig: {"mitigate": Mitigations, "slo": Objectives},
    Configuration: {"watch": WatchConfig},
}
"""Tables of declared keys, by their parent class and name."""


class NamedKey(NamedTuple):
    """A declared key and its place.

    Attributes:
        path: the names of the tables that hold it, and its own.
        declared: its declaration.
        default: its default.
    """

    path: tuple[str, ...]
    declared: DeclaredKey
    default: Any


def declared_keys(owner: type) -> Iterator[NamedKey]:
    """Yield the keys of *owner* and of the tables inside it, in the order of their declaration."""
    for item in fields(owner):
        declared = declaration_of(item)
        if declared is not None:
            yield NamedKey((item.name,), declared, item.default)
        elif item.name in TABLES.get(owner, {}):
            for inner in declared_keys(TABLES[owner][item.name]):
                yield inner._replace(path=(item.name, *inner.path))


def declaration_of(item: Field[Any]) -> DeclaredKey | None:
    """Return the declaration of a field; None for a table and for a field that is not in the file."""
    declared: DeclaredKey | None = item.metadata.get(_DECLARED)
    return declared
