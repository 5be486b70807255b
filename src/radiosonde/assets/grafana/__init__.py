"""Grafana: a dashboard of all models, and one of a single model, over the recording rules of `radiosonde.assets.prometheus`.

`fleet` and `model` declare rows of panels in the order of an on-call engineer's questions; `dashboard` converts them to Grafana's JSON
model.
"""

from __future__ import annotations

from radiosonde.assets.asset import Asset, AssetOptions
from radiosonde.assets.grafana.fleet import fleet
from radiosonde.assets.grafana.model import model


def make(options: AssetOptions) -> list[Asset]:
    """Return both dashboards."""
    return [Asset("fleet.json", fleet(options)), Asset("model.json", model(options))]
