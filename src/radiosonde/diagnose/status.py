"""Status of a diagnosis: findings, healthy, not checked, or stale. Healthy means "checked, and would have been detected".

Each status has its own exit code, for gates in pipelines:

* ``findings`` (1): something of severity page or ticket is open.
* ``not checked`` (3): a check that is required could not be made, or there was nothing to check.
* ``stale`` (4): nothing has been written for three windows and ten minutes. By the writer's clock, because event time may be of
  another year, as in a replay. Not asked when the caller asked for the past.
* ``healthy`` (0): every required check was made and the data are fresh.
* 2 stays for "could not run" (a missing file, a wrong option); it is the command line's and never a diagnosis.

Findings come first: a fault that is known is not less known because another check was impossible. *Not checked* comes before *stale*,
since it also holds for the data that are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from radiosonde.diagnose.finding import NotChecked, Place, Status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from radiosonde.diagnose.finding import Checked
    from radiosonde.model import Window
    from radiosonde.reference.profile import Reference

EXIT_CODES: Final[dict[Status, int]] = {"healthy": 0, "findings": 1, "not checked": 3, "stale": 4}

SUBJECTS = ("errors", "latency", "features", "labels")
"""Subjects that a gate can require."""

STALE_WINDOWS, STALE_MARGIN_NS = 3, 600_000_000_000


class Freshness(NamedTuple):
    """When the store was last written to, and now, both by wall clock, in nanoseconds since the Unix epoch."""

    written_ns: int
    now_ns: int

    def is_stale(self, window_ns: int) -> bool:
        """Return whether windows of *window_ns* should have been written since."""
        return self.now_ns - self.written_ns > STALE_WINDOWS * window_ns + STALE_MARGIN_NS


def window_length_ns(windows: Sequence[Window]) -> int:
    """Return the median length of *windows*; 0 without any."""
    lengths = sorted(window.end_ns - window.start_ns for window in windows)
    return lengths[len(lengths) // 2] if lengths else 0


def required_subjects(
    model: str, references: Mapping[tuple[str, str], Reference], require: Collection[str] | None
) -> tuple[str, ...]:
    """Return the subjects that must have been checked for *model* before it is called healthy.

    Args:
        model: the model.
        references: all references; one fitted from training data makes its features required.
        require: required subjects; None for errors, latency, and features if there is a fitted reference.
    """
    if require is not None:
        return tuple(subject for subject in SUBJECTS if subject in require)
    fitted = any(name == model and not profile.provisional for (name, _), profile in references.items())
    return ("errors", "latency", "features") if fitted else ("errors", "latency")


def missing_checks(
    model: str, required: Iterable[str], checked: Iterable[Checked], not_checked: Sequence[NotChecked]
) -> list[NotChecked]:
    """Return a gap for each of the *required* subjects of *model* that no check covered, with the reason where one was given."""
    covered = {check.subject for check in checked if check.where.model == model}
    missing = []
    for subject in required:
        if subject in covered:
            continue
        reasons = [gap.because for gap in not_checked if gap.where.model == model and gap.subject in (subject, "all")]
        missing.append(
            NotChecked(subject, Place(model), "; ".join(reasons) or "it could not be checked", subject=subject)
        )
    return missing
