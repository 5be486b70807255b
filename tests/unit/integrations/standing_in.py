"""A Radiosonde of a test's own in place of the process's, for plug-ins, which know it by the names of the package."""

from __future__ import annotations

from typing import TYPE_CHECKING

import radiosonde

if TYPE_CHECKING:
    import pytest

    from radiosonde.testing import Flight


def stand_in(monkeypatch: pytest.MonkeyPatch, flight: Flight) -> None:
    """Let every function of `radiosonde` and of `radiosonde.plugin` be that of *flight*, until the test ends."""
    for module in (radiosonde, radiosonde.plugin):
        for name in module.__all__:
            method = getattr(flight, name, None)
            if callable(method):
                monkeypatch.setattr(module, name, method)
