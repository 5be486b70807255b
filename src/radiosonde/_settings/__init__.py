"""Settings: declared in `radiosonde._settings.settings`, read from the environment in `radiosonde._settings.environment`."""

from radiosonde._settings.environment import files_are_public, model_tag, otlp_signals, variables_in_force
from radiosonde._settings.kinds import ANY
from radiosonde._settings.otlp_destination import Destination, otlp_destination, prefers_delta, resource_variables
from radiosonde._settings.settings import (
    AUTO,
    MEMORY,
    SPOOL_LABELS,
    SettingProblem,
    Settings,
    bench_environment,
    child_environment,
    declarations,
    is_disabled,
    variables,
)

__all__ = [
    "ANY",
    "AUTO",
    "MEMORY",
    "SPOOL_LABELS",
    "Destination",
    "SettingProblem",
    "Settings",
    "bench_environment",
    "child_environment",
    "declarations",
    "files_are_public",
    "is_disabled",
    "model_tag",
    "otlp_destination",
    "otlp_signals",
    "prefers_delta",
    "resource_variables",
    "variables",
    "variables_in_force",
]
