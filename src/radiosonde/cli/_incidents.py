"""The incidents of a store for the commands that show, verify and document them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from radiosonde._clock import wall_ns
from radiosonde.cli._stores import policy_of
from radiosonde.diagnose import Freshness, check
from radiosonde.diagnose.check import rate_of
from radiosonde.errors import ConfigurationError
from radiosonde.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from radiosonde.diagnose import Diagnosis, Finding, Policy
    from radiosonde.diagnose.verification import MeasuredRate
    from radiosonde.model import Window
    from radiosonde.sources import Address, StoredSource


class DiagnosedStore(NamedTuple):
    """A store and its diagnosis."""

    stores: list[Address]
    source: StoredSource
    windows: list[Window]
    policy: Policy
    diagnosis: Diagnosis


def diagnosed(stores: list[Address]) -> DiagnosedStore:
    """Return the diagnosis of *stores*, of all models.

    Raises:
        StoreError: a store cannot be read.
        ConfigurationError: the configuration cannot be read.
    """
    source = open_source(stores)
    windows = [*source.windows(), *source.runtime_windows()]
    policy = policy_of(stores, source)
    written_ns = source.last_written_ns()
    freshness = None if written_ns is None else Freshness(written_ns, wall_ns())
    return DiagnosedStore(
        stores, source, windows, policy, check(windows, source.references(), freshness=freshness, policy=policy)
    )


def find_incident(known: Sequence[Finding], given: str) -> Finding:
    """Return the incident whose id is *given*, or has it as a part that no other has.

    Raises:
        ConfigurationError: there is none, or several.
    """
    chosen = [each for each in known if each.id == given] or [each for each in known if given and given in each.id]
    if len({each.id for each in chosen}) == 1:
        return chosen[0]
    if chosen:
        raise ConfigurationError(
            f"{given!r} is part of several ids: {', '.join(sorted({each.id for each in chosen}))}; use a longer part of it"
        )
    ids = ", ".join(each.id for each in known[:10])
    raise ConfigurationError(
        f"there is no incident {given!r}; " + (f"radiosonde incident list shows: {ids}" if ids else "there are none")
    )


def measured_rate(looked: DiagnosedStore, finding: Finding) -> MeasuredRate | None:
    """Return the rate by which *finding* is verified; None if only its state is used."""
    return rate_of(finding, looked.windows, looked.source.references(), looked.policy)
