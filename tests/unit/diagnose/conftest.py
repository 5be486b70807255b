from __future__ import annotations

import pytest

from benchmarks.quality import flight_windows


@pytest.fixture(scope="session")
def references():
    """Return the January and February profile under both versions of the flights."""
    profile = flight_windows.reference()
    return {("delays", "v1"): profile, ("delays", "v2"): profile}
