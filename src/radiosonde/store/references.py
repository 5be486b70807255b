"""References as rows: the JSON file's text, under the identity that windows name."""

from __future__ import annotations

from radiosonde.reference.codec import to_text
from radiosonde.reference.profile import Reference


def encode_reference(reference: Reference) -> tuple[str, str]:
    """Return (reference_id, document) of *reference*."""
    return reference.id, to_text(reference)
