"""Assets for backends: recording rules, alerts, routing, dashboards and views, generated from the registry of telemetry names.

A backend is one module (or package) here and one line in `radiosonde.assets.backends`. It is a function from options to files, and takes
every name from `radiosonde.assets.names`, which knows only names declared in the registry: a renamed metric breaks the build, not an alert.
``radiosonde assets BACKEND --out DIR`` writes the files for a user's own labels and objectives; its default output is kept in
``integrations/<backend>/``, and ``make check`` fails if it is stale.
"""

from radiosonde.assets.asset import Asset, AssetOptions, Backend
from radiosonde.assets.backends import BACKENDS

__all__ = ["BACKENDS", "Asset", "AssetOptions", "Backend"]
