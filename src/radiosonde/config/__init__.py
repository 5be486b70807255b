"""`radiosonde.toml`: declarations about models: objectives, owners, contacts, rollback commands.

One file for all models. Every key is declared once in `radiosonde.config.keys`; the reader, the page of the documentation, the JSON schema
for editors and ``radiosonde config check`` follow from the declarations.
"""

from radiosonde._settings.configuration_file import FILE_NAME, locate
from radiosonde.config.keys import Configuration, Mitigations, ModelConfig, Objectives, WatchConfig
from radiosonde.config.parse import ConfigProblem, read, read_text

__all__ = [
    "FILE_NAME",
    "ConfigProblem",
    "Configuration",
    "Mitigations",
    "ModelConfig",
    "Objectives",
    "WatchConfig",
    "locate",
    "read",
    "read_text",
]
