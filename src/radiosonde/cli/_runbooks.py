"""Makes runbooks from a diagnosed store, for ``radiosonde runbook`` and ``radiosonde incident runbook``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from radiosonde.cli._incidents import measured_rate
from radiosonde.cli._stores import filled_in
from radiosonde.runbook import RunbookContext, make_runbook
from radiosonde.runbook.waiting import wait_words

if TYPE_CHECKING:
    from radiosonde.cli._incidents import DiagnosedStore
    from radiosonde.diagnose import Finding
    from radiosonde.runbook import Runbook


def context_of(looked: DiagnosedStore, model: str) -> RunbookContext:
    """Return the context of the runbooks of *model*; *looked* is of one store with an absolute path, since pages are read elsewhere."""
    configuration = looked.policy.configuration
    path = None if configuration.path is None else configuration.path.absolute()
    return RunbookContext(
        model,
        str(looked.stores[0]),
        looked.diagnosis,
        looked.windows,
        configuration.of(model),
        path,
        filled_in(looked.stores, looked.source),
    )


def runbook_of(looked: DiagnosedStore, finding: Finding) -> Runbook:
    """Return the runbook of the incident *finding*."""
    return make_runbook(
        context_of(looked, finding.where.model), finding, wait_words(finding, measured_rate(looked, finding))
    )
