"""A Radiosonde of a test's own in place of the process's, for plug-ins, which know it by the names of the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import radiosonde

if TYPE_CHECKING:
    import pytest

    from radiosonde.testing import Flight


def stand_in(monkeypatch: pytest.MonkeyPatch, flight: Flight) -> None:
    """Let every function of `radiosonde` be that of *flight*, until the test ends."""
    for name in radiosonde.__all__:
        method = getattr(flight, name, None)
        if callable(method):
            monkeypatch.setattr(radiosonde, name, method)
