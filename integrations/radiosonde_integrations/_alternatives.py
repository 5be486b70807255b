"""Libraries that are published under several distribution names."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution

from opentelemetry.instrumentation.dependencies import Requirement  # type: ignore[attr-defined] # has no __all__


def first_installed(requirements: Sequence[str]) -> Sequence[str]:
    """Return the requirement whose distribution is installed, in any version; the first one when none is."""
    for requirement in requirements:
        try:
            distribution(Requirement(requirement).name)
        except PackageNotFoundError:
            continue
        return (requirement,)
    return requirements[:1]
