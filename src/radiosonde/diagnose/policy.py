"""Declarations and annotations of people that a diagnosis takes into account.

Windows record what happened; a policy declares objectives, owners, and time excluded from baselines. It is a value, so that a diagnosis
stays a pure function.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from radiosonde.config import ConfigProblem, Configuration
from radiosonde.diagnose.finding import NotChecked, Place, Responsible
from radiosonde.diagnose.known_bad import KnownBad

if TYPE_CHECKING:
    from radiosonde.diagnose.finding import Finding, Kind, Mark

_CURED_BY_ROLLBACK: frozenset[Kind] = frozenset({"version", "errors", "cohort", "latency", "quality", "runtime"})


@dataclass(frozen=True, slots=True)
class Policy:
    """Declarations and annotations about the models.

    Attributes:
        configuration: objectives and owners.
        problems: mistakes in the configuration.
        known_bad: intervals excluded from baselines.
        marks: acknowledged and muted incidents, those in force.
    """

    configuration: Configuration = field(default_factory=Configuration)
    problems: tuple[ConfigProblem, ...] = ()
    known_bad: tuple[KnownBad, ...] = ()
    marks: tuple[Mark, ...] = ()

    def gaps(self) -> list[NotChecked]:
        """Return the gaps due to mistakes in the configuration: no model is healthy until they are corrected."""
        if not self.problems:
            return []
        first, more = self.problems[0].words(self.configuration.path), len(self.problems) - 1
        others = f" (and {more} more)" if more else ""
        because = f"the configuration has mistakes: {first}{others}; radiosonde config check lists them"
        return [NotChecked("objectives", Place(""), because, "all")]

    def with_responsible(self, finding: Finding) -> Finding:
        """Return *finding* with its owner, contacts and the way back, where they are declared."""
        config = self.configuration.of(finding.where.model)
        rollback = config.rollback if finding.kind in _CURED_BY_ROLLBACK else ""
        if not (config.owner or config.contacts or rollback or config.flag):
            return finding
        return replace(finding, responsible=Responsible(config.owner, config.contacts, rollback, config.flag))
