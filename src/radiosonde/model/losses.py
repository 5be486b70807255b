"""The names of everything that can be lost. A loss without a name here cannot be counted, and a test makes each happen.

The prediction itself (its result, its exception) is never among them: only telemetry is lost.
"""

from __future__ import annotations

from typing import Final

RING_OVERWRITTEN: Final = "ring_overwritten"
"""Records overwritten in the ring and not counted: an agent was stopped while it drained the ring, or was killed before it had
made durable what it drained; or a signal handler that interrupted the making of room predicted more than there was room for.
A consumer that comes late loses none: writers count what they overwrite."""

RING_ABANDONED: Final = "ring_abandoned"
"""Slots taken and never written: the thread was ended between the two."""

BATCH_OVERWRITTEN: Final = "batch_overwritten"
"""Rows of batches whose outputs were overwritten, for the reasons of `RING_OVERWRITTEN`; call and latency are still counted."""

BATCH_REFUSED: Final = "batch_refused"
"""Rows of batches that found no room: re-entered by a signal handler, or wider than the arena."""

FEATURES_UNREADABLE: Final = "features_unreadable"
"""Rows whose features could not be read: an unknown type, or a conversion that raised."""

FEATURES_LATE: Final = "features_late"
"""Predictions that were given features (``current().features()``) after so many others that their slot had been reclaimed."""

FEATURES_WIDTH: Final = "features_width"
"""Rows with another number of features than the model's schema."""

FEATURES_LEARNING: Final = "features_learning"
"""Rows recorded while the schema was being learned from them; at most the calls in flight at that moment."""

FEATURES_UNFINISHED: Final = "features_unfinished"
"""Rows whose features could not be counted before the exit's deadline: they waited for a provisional reference, which takes long
for thousands of features. Calls, errors and latency are counted."""

FEATURE_VALUES_UNKNOWN: Final = "feature_values_unknown"
"""Rows that carried names the schema does not have; the known features of the row are counted."""

OUTPUT_UNREADABLE: Final = "output_unreadable"
"""Rows whose output could not be understood; give ``output=`` to ``observe``."""

CLASS_OVERFLOW: Final = "class_overflow"
"""Rows of a predicted class beyond the bound on classes, counted under ``__other__``."""

COHORT_OVERFLOW: Final = "cohort_overflow"
"""Predictions of a cohort beyond the bound, counted under ``__overflow__``."""

COHORT_INVALID: Final = "cohort_invalid"
"""Cohort dimensions whose value has no text of its own: a container, an array, an object known by its address."""

CATEGORY_OVERFLOW: Final = "category_overflow"
"""Values of a categorical feature beyond the bound on codes, counted as unseen."""

PHASE_OVERFLOW: Final = "phase_overflow"
"""Phases beyond the slot's six."""

STAGE_OUTSIDE: Final = "stage_outside"
"""``stage`` blocks entered where no prediction was in progress."""

ERROR_OVERFLOW: Final = "error_overflow"
"""Errors of a type beyond the bound, counted under ``_OTHER``."""

OWN_ID_UNREADABLE: Final = "own_id_unreadable"
"""Predictions whose own id (``observe(..., id=...)``) was no text, number or UUID, too long,
or raised; they keep ours."""

LABEL_QUEUE_FULL: Final = "label_queue_full"
"""Labels refused because the queue to the join store was full, or left in it at the end because the store did not answer."""

CALLS_PAUSED: Final = "calls_paused"
"""Live spans not begun, and rings of a model not opened, because a hundred tries in a row had failed; tried again within a
minute. The predictions themselves are counted, or are in `RECORD_FAILED`."""

SETTINGS_IGNORED: Final = "settings_ignored"
"""Variables of the environment whose value cannot be used; the default is in force, and ``radiosonde doctor`` shows them."""

WINDOWS_FAILED: Final = "windows_failed"
"""Windows that could not be closed, or not be added to the totals, because our own code raised; the others go on."""

RECORD_FAILED: Final = "record_failed"
"""Predictions not recorded because our own code raised; see ``guarded`` in the statistics."""

SPOOL_FAILED: Final = "spool_failed"
"""Rings that could not lie in the spool (no space, no permission) and lie in memory until they can. What they hold is counted,
unless the process is killed."""

SPOOL_REMOVED: Final = "spool_removed"
"""Rings whose files somebody removed from the spool while their process lived. A new one is opened within a second. Predictions
are counted all the same, unless the process or the agent is killed before it has made them durable."""

SPOOL_UNDRAINED: Final = "spool_undrained"
"""Predictions in rings that lay outside of the spool, where no agent finds them, and that found no room there until the exit."""

HEALTH_UNSHARED: Final = "health_unshared"
"""Processes whose health (CPU, pauses, lag) the agent cannot count, because the page for it could not be made in the spool (no
space, no permission); tried again every second, counted once."""

SPOOL_PRUNED: Final = "spool_pruned"
"""Rings of dead processes that were removed from the spool to bound it: ``radiosonde blackbox`` shows them no more."""

AGENT_FAILED: Final = "agent_failed"
"""Attempts of a process to start the agent (``RADIOSONDE_AGENT=auto``) that failed; until one succeeds records wait in the
rings, which keep counts of the oldest."""

NAME_CHANGED: Final = "name_changed"
"""Names that could not stay as they were: characters that are no text or control a terminal, longer than 256 characters. Counted
when a model, class, error, phase, feature or category is first met, and for each scope of a cohort."""

FORK_UNHELD: Final = "fork_unheld"
"""Forks that did not wait for one of our threads to come to rest, because that took longer than 100 ms. No prediction is lost by
it; a child forked while a thread imports may not be able to import the same module."""

NAMES_LOST: Final = "names_lost"
"""Names that could not be written beside a ring in the spool; readers show their codes."""

DIED_IN_FLIGHT: Final = "died_in_flight"
"""Predictions that were running when their process died; their caller got no answer either."""

JOIN_PRUNED: Final = "join_pruned"
"""Predictions that the join store dropped to stay within its size, before they were too old; their labels are expired."""

PREDICTIONS_UNJOINABLE: Final = "predictions_unjoinable"
"""Predictions that can never be labelled: the join store did not take them while they waited, or so many came at once that
their writer counted them and did not keep them."""

RECEIPT_UNISSUED: Final = "receipt_unissued"
"""Receipts asked for and not made: a batch, a prediction that failed or whose output could not be read, one whose record had
been overwritten, or names too long for a receipt. The caller got ``""``."""

EXPORT_FAILED: Final = "export_failed"
"""Exports a backend refused or did not answer; cumulative counts arrive with the next success."""

EXPORT_REJECTED: Final = "export_rejected"
"""Points, sketch events and spans that a backend received and did not keep, as its answer says (OTLP's partial success)."""

SKETCH_EVENTS_DROPPED: Final = "sketch_events_dropped"
"""Windows whose sketches could not be delivered and were dropped beyond the bound."""

SPANS_BOUNDED: Final = "spans_bounded"
"""Predictions worth a span after the fact that got none, because so many a minute are allowed (``spans_per_minute``). One that
is among the slowest as well is counted once more when its window closes."""

SPANS_DROPPED: Final = "spans_dropped"
"""Spans made after the fact that no backend took, dropped beyond the bound."""

STORE_FAILED: Final = "store_failed"
"""Windows the store could not take and that were dropped beyond the bound."""

STORE_REFUSED: Final = "store_refused"
"""Windows that hold what no store can: a name that is no text, a number beyond 64 bits. Their neighbours are stored."""

STORE_PRUNED: Final = "store_pruned"
"""Windows the store removed to stay within its age and size."""

SERIES_CUT: Final = "series_cut"
"""Time series left out of the last OTLP export by the cardinality bound: a level, not a sum."""

ALL_LOSSES: Final = tuple(
    sorted(value for name, value in globals().items() if name.isupper() and isinstance(value, str))
)
