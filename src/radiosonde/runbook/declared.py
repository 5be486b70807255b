"""The declarations of the team about a model, and a gap with the line to add for each missing one.

A value that still is a placeholder (``...``, ``<command>``, TODO) is a gap: printed as a command it would be run as one.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from radiosonde.config import FILE_NAME, ModelConfig
from radiosonde.config.keys import declared_keys
from radiosonde.runbook.runbook import ConfigurationGap

if TYPE_CHECKING:
    from pathlib import Path

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLACEHOLDER = re.compile(r"\.\.\.$|<[A-Za-z][^<>|&;]*>|\b(TODO|FIXME|TBD|CHANGEME|XXX)\b")
_DECLARED: Final = {".".join(key.path): key for key in declared_keys(ModelConfig)}


def value_of(config: ModelConfig, key: str) -> Any:
    """Return the declared value of the dotted *key*; the default of the key if it is not declared, or a placeholder."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    if isinstance(value, str):
        return "" if is_placeholder(value) else value
    return tuple(entry for entry in value if not is_placeholder(entry)) if isinstance(value, tuple) else value


def is_placeholder(text: str) -> bool:
    """Return whether *text* is still to be replaced by a real value."""
    return _PLACEHOLDER.search(text) is not None


def gap_of(model: str, key: str) -> ConfigurationGap:
    """Return the gap of *key*, with the line to add for *model*."""
    declared = _DECLARED[key].declared
    is_list, is_timed = declared.kind.type == "list of texts", key == "escalation"
    value = '["15m ..."]' if is_timed else '["..."]' if is_list else '"..."'
    name = model if _BARE.fullmatch(model) else json.dumps(model).replace("\x7f", "\\u007F")
    return ConfigurationGap(key, declared.doc, f"[model.{name}]", f"{key} = {value}")


def place_of(path: Path | None) -> str:
    """Return the configuration to complete, for people."""
    return str(path) if path is not None else f"{FILE_NAME} beside the store"
