"""Handles errors of the environment: they are logged and counted, and never raise in a host."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from radiosonde.errors import RadiosondeError
from radiosonde.model import losses

if TYPE_CHECKING:
    from radiosonde._guard import Guard
    from radiosonde._settings import Settings


def report_problems(settings: Settings, guard: Guard) -> None:
    """Log and count the variables that cannot be used."""
    for problem in settings.problems:
        guard.lose(losses.SETTINGS_IGNORED)
        guard.warn(f"setting {problem.variable}", "%s (radiosonde doctor shows all)", problem.message)


def open_part(settings: Settings, guard: Guard, setting: str, part: Callable[[], object]) -> None:
    """Open the part that a setting selects.

    Raises:
        RadiosondeError: it cannot be opened, and no variable of the environment asked for it.
    """
    try:
        part()
    except RadiosondeError as error:
        if setting not in settings.from_environment:
            raise
        guard.warn(f"setting {setting}", "%s", error)
