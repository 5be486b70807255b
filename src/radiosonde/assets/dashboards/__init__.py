"""The dashboards, as every engine shows them: one of all models, and one of a single model, over the rules of `radiosonde.assets.prometheus`.

`fleet` and `model` declare rows of panels in the order of an on-call engineer's questions. `radiosonde.assets.grafana` and
`radiosonde.assets.perses` write what is declared here as documents of their engines, so both show the same.
"""

from __future__ import annotations

from radiosonde.assets.asset import AssetOptions
from radiosonde.assets.dashboards.fleet import fleet
from radiosonde.assets.dashboards.model import model
from radiosonde.assets.dashboards.panel import Dashboard


def dashboards(options: AssetOptions) -> list[Dashboard]:
    """Return both dashboards."""
    return [fleet(options), model(options)]
