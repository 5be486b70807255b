"""The latency objectives that are declared, for the model server: each is a bucket bound of its duration histogram.

A rule that asks how many calls were slower than an objective needs a bound exactly there.
"""

from __future__ import annotations

from pathlib import Path

from radiosonde.config.locate import locate


def latency_objectives(store: str | None) -> frozenset[float]:
    """Return the objectives of all models in seconds; none where no configuration is in force.

    Args:
        store: the store of the process, beside which a configuration may lie.

    Raises:
        ConfigurationError: the configuration is not there or cannot be read.
    """
    path = locate([Path(store)] if store else [])
    if path is None:
        return frozenset()
    from radiosonde.config.parse import read  # TOML, for those who have declared something

    configuration, _ = read(path)
    declared = (configuration.defaults, *configuration.models.values())
    return frozenset(model.slo.p99 for model in declared if model.slo.p99 is not None)
