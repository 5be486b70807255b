"""The JSON schema of `radiosonde.toml`, for editors that complete and check TOML.

Generated from the declarations; the copy in the package, ``radiosonde/config/radiosonde.schema.json``, is kept up to date by
``tools/generate_config.py``.
"""

from __future__ import annotations

from importlib import resources
from typing import Any

from radiosonde.config.keys import Configuration, ModelConfig, declared_keys

SCHEMA_FILE = "radiosonde.schema.json"


def make_schema() -> dict[str, Any]:
    """Return the schema, draft 7."""
    model = _object(ModelConfig)
    document = _object(Configuration)
    document["properties"] |= {
        "defaults": {**model, "description": "Defaults for every model."},
        "model": {
            "type": "object",
            "description": "Declarations for one model, by its name.",
            "additionalProperties": model,
        },
    }
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "radiosonde.toml", **document}


def shipped_schema() -> str:
    """Return the text of the schema that the package ships."""
    return resources.files("radiosonde.config").joinpath(SCHEMA_FILE).read_text("utf-8")


def _object(owner: type) -> dict[str, Any]:
    made: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": {}}
    for key in declared_keys(owner):
        inner = made
        for table in key.path[:-1]:
            inner = inner["properties"].setdefault(
                table, {"type": "object", "additionalProperties": False, "properties": {}}
            )
        inner["properties"][key.path[-1]] = {**key.declared.kind.schema, "description": key.declared.doc}
    return made
