"""Alertmanager: all alerts of one model are one notification, and a more specific alert inhibits its consequences."""

from __future__ import annotations

from typing import Any

from radiosonde.assets.asset import Asset, AssetOptions
from radiosonde.assets.names import label
from radiosonde.assets.yaml_text import yaml_text
from radiosonde.semconv import attributes as names

_COMMENT = """\
Routing of Radiosonde's alerts. Made by: radiosonde assets alertmanager
Take route and inhibit_rules into your alertmanager.yml, and give the three receivers their configurations."""

_OURS = 'component="radiosonde"'


def make(options: AssetOptions) -> list[Asset]:
    """Return the file."""
    return [Asset("alertmanager.yml", yaml_text(routing_document(options), _COMMENT))]


def routing_document(options: AssetOptions) -> dict[str, Any]:
    """Return routes, inhibitions, and receivers without a configuration."""
    place = [*options.by, label(names.MODEL_NAME)]
    return {
        "route": {
            "receiver": "radiosonde-ticket",
            "group_by": place,
            # Longer than the page's, so that a page that inhibits a ticket comes first.
            "group_wait": "2m",
            "group_interval": "10m",
            "repeat_interval": "12h",
            "routes": [
                {"matchers": [_OURS, 'severity="info"'], "receiver": "radiosonde-shown"},
                # A server that is gone takes all its models with it: one page for the server, not one per model.
                {
                    "matchers": ['alertname="RadiosondeTelemetryAbsent"'],
                    "receiver": "radiosonde-page",
                    "group_by": list(options.by),
                    "group_wait": "45s",
                },
                {
                    "matchers": [_OURS, 'severity="page"'],
                    "receiver": "radiosonde-page",
                    "group_wait": "45s",
                    "group_interval": "5m",
                    "repeat_interval": "4h",
                },
            ],
        },
        "inhibit_rules": [
            {
                "source_matchers": ['alertname="RadiosondeTelemetryAbsent"'],
                "target_matchers": [_OURS, 'alertname!="RadiosondeTelemetryAbsent"'],
                "equal": place,
            },
            {
                "source_matchers": [_OURS, 'severity="page"'],
                "target_matchers": [_OURS, 'severity="ticket"'],
                "equal": place,
            },
        ],
        "receivers": [{"name": f"radiosonde-{tier}"} for tier in ("page", "ticket", "shown")],
    }
