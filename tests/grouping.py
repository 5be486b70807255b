"""Which tests share a process where the suite runs in several (`make test`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    import pytest
    from xdist.remote import Producer

SERVED = ("tests/e2e/", "tests/stress/")


class Scheduling(LoadScopeScheduling):
    """One process for all tests with servers and load, which would wait for each other; of the others, one a file.

    The largest share is begun first, and that is theirs. `--dist loadgroup` would take marks, but finds none with pytest 9.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "served" if nodeid.startswith(SERVED) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """See pytest-xdist."""
    return Scheduling(config, log)
