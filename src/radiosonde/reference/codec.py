"""The profile as one JSON file: readable, diffable, and refused with a clear reason when it cannot be trusted.

Layout: ``{"format": "radiosonde.reference", "schema_version": 1, "checksum": "sha256:...", "reference": {...}}`` with
keys in a fixed order, one feature per line. The checksum covers the canonical text of ``reference`` (sorted keys, no
spaces), so reformatting the file is harmless and any edit of a number is not. JSON and not a binary format because
the file is reviewed in merge requests beside the model it belongs to; 100 numeric features take about 0.5 MB.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from radiosonde._files import opener
from radiosonde.errors import ProfileError
from radiosonde.reference.profile import FeatureProfile, OutputProfile, Reference, safely_named

FORMAT = "radiosonde.reference"
SCHEMA_VERSION = 1


def identity(reference: Reference) -> str:
    """Return 16 hexadecimal digits of a hash of the profile without the time of its making."""
    content = _as_json(reference)
    del content["created_at"]
    return _digest(content)[:16]


def save(reference: Reference, path: str | Path) -> None:
    """Write *reference* atomically: to a neighbour file first, then renamed into place.

    Raises:
        ProfileError: the file cannot be written.
    """
    path = Path(path)
    neighbour = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with open(neighbour, "x", encoding="utf-8", opener=opener) as file:
                file.write(to_text(reference))
                file.flush()
                os.fsync(file.fileno())
            neighbour.replace(path)
        finally:
            neighbour.unlink(missing_ok=True)
    except OSError as error:
        raise ProfileError(
            f"cannot write the reference profile {path}: {error.strerror}; choose another path"
        ) from error


def load(path: str | Path) -> Reference:
    """Read the profile at *path*.

    Raises:
        ProfileError: the file is missing, damaged, not a profile, or from a newer version.
    """
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise ProfileError(
            f"cannot read the reference profile {path}: {error.strerror}; "
            "make one with: radiosonde reference build TRAIN.parquet --target COLUMN --out FILE"
        ) from error
    return from_text(text, origin=str(path))


def to_text(reference: Reference) -> str:
    """Return the content of a profile file."""
    content = _as_json(reference)
    head = {"format": FORMAT, "schema_version": SCHEMA_VERSION, "checksum": f"sha256:{_digest(content)}"}
    features = ",\n".join(f"   {json.dumps(feature, allow_nan=False)}" for feature in content["features"])
    rest = [
        f"  {json.dumps(name)}: [\n{features}\n  ]"
        if name == "features"
        else f"  {json.dumps(name)}: {json.dumps(value)}"
        for name, value in content.items()
    ]
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    return "{\n" + ",\n".join([*lines, ' "reference": {\n' + ",\n".join(rest) + "\n }"]) + "\n}\n"


def from_text(text: bytes | str, *, origin: str) -> Reference:
    """Read the content of a profile file; *origin* names it in errors.

    Raises:
        ProfileError: the content is damaged, not a profile, or from a newer version.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProfileError(f"{origin} is damaged, or not a reference profile: {error}; build it again") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ProfileError(f"{origin} is JSON but not a reference profile; build one with: radiosonde reference build")
    version = document.get("schema_version")
    if not isinstance(version, int) or version < 1:
        raise ProfileError(f"{origin} is damaged: schema_version is {version!r}; build it again")
    if version > SCHEMA_VERSION:
        raise ProfileError(
            f"{origin} was written by a newer Radiosonde (schema {version}, this one reads up to {SCHEMA_VERSION}); "
            "upgrade with: pip install --upgrade radiosonde"
        )
    content = document.get("reference")
    if not isinstance(content, dict) or document.get("checksum") != f"sha256:{_digest(content)}":
        raise ProfileError(f"{origin} is damaged: its checksum does not match; restore it or build it again")
    try:
        return _from_json(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProfileError(f"{origin} is damaged: {error!r} while reading it; build it again") from error


def _digest(content: Any) -> str:  # any JSON value
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _as_json(reference: Reference) -> dict[str, Any]:
    content = _plain(reference)
    content["features"] = [_feature(feature) for feature in reference.features]
    content["output"] = _plain(reference.output)
    return content


def _feature(feature: FeatureProfile) -> dict[str, Any]:
    content = _plain(feature) | {"weights": dict(feature.weights)}
    if not feature.key_id:
        del content["key_id"]  # as before there were any: a profile keeps its identity
    return content


def _plain(record: Reference | FeatureProfile | OutputProfile) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _from_json(content: dict[str, Any]) -> Reference:
    features = tuple(
        FeatureProfile(
            **{name: _tuples(value) for name, value in feature.items() if name != "weights"},
            weights=tuple((name, _tuples(weights)) for name, weights in feature["weights"].items()),
        )
        for feature in content["features"]
    )
    output = OutputProfile(**{name: _tuples(value) for name, value in content["output"].items()})
    features, output = safely_named(features, output)
    rest = {name: value for name, value in content.items() if name not in {"features", "output"}}
    return Reference(features=features, output=output, **rest)


def _tuples(value: Any) -> Any:  # any JSON value
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value
