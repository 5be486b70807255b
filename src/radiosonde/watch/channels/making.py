"""Creates channels and links from ``[watch]`` of `radiosonde.toml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from radiosonde.assets.asset import runbook_url
from radiosonde.errors import ConfigurationError
from radiosonde.watch.channels.alertmanager import ALERT_NAMES, AlertmanagerFeed
from radiosonde.watch.channels.otlp import OtlpEvents
from radiosonde.watch.channels.pagerduty import PagerDuty
from radiosonde.watch.channels.slack import Slack
from radiosonde.watch.channels.webhook import Webhook, read_template
from radiosonde.watch.life import Links

if TYPE_CHECKING:
    from radiosonde.config import WatchConfig
    from radiosonde.diagnose import Finding
    from radiosonde.export.otlp import OtlpExporter
    from radiosonde.model import Exemplar
    from radiosonde.model.watched import WatchedIncident
    from radiosonde.watch.channels.channel import Channel

_FROM_VARIABLE = "env:"
_MARGIN_MS = 3_600_000
SEVERITIES = {"page": frozenset({"page"}), "ticket": frozenset({"page", "ticket"})}


def make_channels(
    config: WatchConfig, folder: Path, variables: Mapping[str, str], otlp: Callable[[], OtlpExporter] | None
) -> list[Channel]:
    """Return the channels that take events.

    Args:
        config: the configuration.
        folder: that of the configuration.
        variables: environment variables, for ``env:NAME``.
        otlp: creates an OTLP exporter; None if events are not sent over OTLP.

    Raises:
        ConfigurationError: a variable is not set, or the template cannot be used.
    """
    template = read_template(folder / config.webhook_template) if config.webhook_template else None
    channels: list[Channel] = []
    for place, declared in enumerate(config.webhooks):
        channels.append(Webhook(_name("webhook", place), _address(declared, variables), template))
    for place, declared in enumerate(config.slack):
        channels.append(Slack(_name("slack", place), _address(declared, variables)))
    for place, declared in enumerate(config.pagerduty):
        channels.append(PagerDuty(_name("pagerduty", place), config.pagerduty_url, _value(declared, variables)))
    if otlp is not None:
        channels.append(OtlpEvents(otlp))
    return channels


def make_feeds(config: WatchConfig, variables: Mapping[str, str]) -> list[AlertmanagerFeed]:
    """Return the senders for Alertmanagers.

    Raises:
        ConfigurationError: a variable is not set, or a label is none.
    """
    labels = {}
    for text in config.labels:
        name, separator, value = text.partition("=")
        if not separator or not name.strip().isidentifier():
            raise ConfigurationError(
                f"watch.labels has {text!r}, which is not a label; write NAME=VALUE, as in job=delays"
            )
        labels[name.strip()] = value.strip()
    severities = SEVERITIES[config.notify]
    return [
        AlertmanagerFeed(_name("alertmanager", place), _address(declared, variables), labels, severities)
        for place, declared in enumerate(config.alertmanagers)
    ]


def make_links(config: WatchConfig, example: Callable[[Finding], Exemplar | None]) -> Links:
    """Return the function that creates the links of events.

    Args:
        config: addresses.
        example: returns a call that a finding affected.

    Raises:
        ConfigurationError: an address has a place that nothing fills.
    """
    _filled("dashboards", config.dashboards, model="", version="", from_ms=0, to_ms=0)
    _filled("traces", config.traces, trace_id="")

    def runbook(incident: WatchedIncident) -> str:
        return runbook_url(config.runbooks, ALERT_NAMES[incident.severity]) if config.runbooks else ""

    def dashboard(incident: WatchedIncident, onset_ns: int, ended_ns: int | None) -> str:
        to_ms: object = "now" if ended_ns is None else ended_ns // 1_000_000 + _MARGIN_MS
        return _filled(
            "dashboards", config.dashboards, model=incident.model, version=incident.version,
            from_ms=onset_ns // 1_000_000 - _MARGIN_MS, to_ms=to_ms,
        )  # fmt: skip

    def trace(finding: Finding) -> tuple[str, str, str]:
        found = example(finding)
        if found is None:
            return "", "", ""
        trace_id = f"{found.trace_id:032x}"
        return _filled("traces", config.traces, trace_id=trace_id), trace_id, f"{found.span_id:016x}"

    return Links(runbook, dashboard, trace)


def _filled(key: str, address: str, **values: object) -> str:
    try:
        return address.format(**{name: quote(str(value), safe="") for name, value in values.items()})
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        raise ConfigurationError(
            f"watch.{key} is {address!r}, which cannot be filled in ({error}); it may have {', '.join(f'{{{name}}}' for name in values)}"
        ) from error


def _name(kind: str, place: int) -> str:
    return kind if place == 0 else f"{kind}-{place + 1}"


def _value(declared: str, variables: Mapping[str, str]) -> str:
    if not declared.startswith(_FROM_VARIABLE):
        return declared
    name = declared.removeprefix(_FROM_VARIABLE)
    value = variables.get(name, "").strip()
    if not value:
        raise ConfigurationError(
            f"radiosonde.toml reads {name} from the environment, where it is not set; set it for the watch"
        )
    return value


def _address(declared: str, variables: Mapping[str, str]) -> str:
    address = _value(declared, variables)
    if urlsplit(address).scheme not in ("http", "https"):
        raise ConfigurationError(
            f"the address that {declared} names does not begin with http:// or https://; correct it"
        )
    return address
