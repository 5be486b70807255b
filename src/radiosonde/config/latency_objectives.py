"""The latency objectives that are declared, for the model server: each is a bucket bound of its duration histogram.

A rule that counts the calls slower than an objective needs a bound exactly there.
"""

from __future__ import annotations

from pathlib import Path

from radiosonde.config.parse import read


def latency_objectives(path: Path) -> frozenset[float]:
    """Return the objectives of all models in the configuration at *path*, in seconds.

    Raises:
        ConfigurationError: it cannot be read.
    """
    configuration, _ = read(path)
    declared = (configuration.defaults, *configuration.models.values())
    return frozenset(model.slo.p99 for model in declared if model.slo.p99 is not None)
