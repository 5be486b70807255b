"""The names of all losses. A loss without a name here cannot be counted, and a test triggers each.

The prediction itself (its result, its exception) is never lost, only telemetry. Omissions on purpose, by a setting, are in
`radiosonde.model.policies`, and time series beyond the cardinality bound are a level, not a count.
"""

from __future__ import annotations

from typing import Final

RING_OVERWRITTEN: Final = "ring_overwritten"
"""Records overwritten in the ring and not counted. An agent was stopped or killed between draining them and committing them, or a
signal handler that interrupted a reclaim made more predictions than there was room for. A slow consumer loses none, because
writers count the records that they overwrite, unless their series have more counts than a tally has room for."""

RING_ABANDONED: Final = "ring_abandoned"
"""Slots reserved and never written, because the thread ended in between."""

BATCH_OVERWRITTEN: Final = "batch_overwritten"
"""Rows of batches whose outputs were overwritten, for the reasons of `RING_OVERWRITTEN`; call and latency are still counted."""

BATCH_REFUSED: Final = "batch_refused"
"""Rows of batches whose features did not fit: wider than the arena, or written by a signal handler during another write. Their
outputs are counted."""

FEATURES_UNREADABLE: Final = "features_unreadable"
"""Rows whose features could not be read: an unknown type, or a conversion that raised."""

FEATURES_LATE: Final = "features_late"
"""Predictions whose features (``current().features()``) arrived after their slot had been reclaimed."""

FEATURES_WIDTH: Final = "features_width"
"""Rows whose number of features differs from the model's schema."""

FEATURES_LEARNING: Final = "features_learning"
"""Rows recorded while the schema was being learned; at most the calls in flight at that time."""

FEATURES_UNFINISHED: Final = "features_unfinished"
"""Rows whose features were not counted before the exit deadline. They waited for a provisional reference, which takes long for
thousands of features. Calls, errors and latency are counted."""

FEATURE_VALUES_UNKNOWN: Final = "feature_values_unknown"
"""Rows with feature names that are not in the schema; the known features of the row are counted."""

OUTPUT_UNREADABLE: Final = "output_unreadable"
"""Rows whose output could not be read; pass ``output=`` to ``observe``."""

CLASS_OVERFLOW: Final = "class_overflow"
"""Rows of a predicted class beyond the bound on classes, counted under ``__other__``."""

COHORT_OVERFLOW: Final = "cohort_overflow"
"""Predictions of a cohort beyond the bound, counted under ``__overflow__``."""

COHORT_INVALID: Final = "cohort_invalid"
"""Cohort dimensions whose value has no stable text: a container, an array, an object printed with its address."""

CATEGORY_OVERFLOW: Final = "category_overflow"
"""Values of a categorical feature beyond the bound on codes, counted as unseen."""

PHASE_OVERFLOW: Final = "phase_overflow"
"""Phases beyond the slot's six."""

PHASE_INVALID: Final = "phase_invalid"
"""Times of phases given to ``record`` that are no seconds: negative, not finite, or no number."""

STAGE_OUTSIDE: Final = "stage_outside"
"""``stage`` blocks entered outside of a prediction."""

ERROR_OVERFLOW: Final = "error_overflow"
"""Errors of a type beyond the bound, counted under ``_OTHER``."""

OWN_ID_UNREADABLE: Final = "own_id_unreadable"
"""Predictions whose own id (``observe(..., id=...)``) was not a text, integer or UUID, was too long, or raised. Their prediction
id is still valid."""

LABEL_QUEUE_FULL: Final = "label_queue_full"
"""Labels rejected because the queue to the join store was full, or left in it at exit because the store did not respond."""

CALLS_PAUSED: Final = "calls_paused"
"""Live spans not started, and rings of a model not opened, after a hundred consecutive failures; retried within a minute. The
predictions themselves are counted, or are in `RECORD_FAILED`."""

SETTINGS_IGNORED: Final = "settings_ignored"
"""Variables of the environment whose value cannot be used; the default is in force, and ``radiosonde doctor`` shows them."""

WINDOWS_FAILED: Final = "windows_failed"
"""Windows that could not be closed, or not added to the totals, because of an internal error; others are not affected."""

RECORD_FAILED: Final = "record_failed"
"""Predictions not recorded because of an internal error; see ``guarded`` in the statistics."""

CALLS_AFTER_END: Final = "calls_after_end"
"""Calls made after the recording had ended: after ``shutdown``, or by other threads in the last moments of a process. Those of a process
that ends are stored up to the time of its last window."""

SPOOL_FAILED: Final = "spool_failed"
"""Rings that could not be created in the spool (no space, no permission, no descriptors) and stay in memory until they can. Their
records are counted, unless the process is killed."""

SPOOL_REMOVED: Final = "spool_removed"
"""Rings whose files were deleted from the spool while their process was running. A new ring is opened within a second. Predictions
are still counted, unless the process or the agent is killed before they are durable."""

SPOOL_UNDRAINED: Final = "spool_undrained"
"""Predictions in rings outside of the spool, which no agent drains, that could not be moved there before the exit."""

HEALTH_UNSHARED: Final = "health_unshared"
"""Processes whose health (CPU, pauses, lag) the agent cannot read, because its file could not be created in the spool (no space,
no permission); retried every second, counted once."""

SPOOL_PRUNED: Final = "spool_pruned"
"""Rings of dead processes removed from the spool to bound it; ``radiosonde blackbox`` no longer shows them."""

AGENT_FAILED: Final = "agent_failed"
"""Failed attempts of a process to start the agent (``RADIOSONDE_AGENT=auto``). Until one succeeds, records wait in the rings,
which keep counts of the oldest."""

NAME_CHANGED: Final = "name_changed"
"""Names that were changed, because they contained invalid or control characters or were longer than 256 characters. Counted once
per model, class, error, phase, feature and category, and for each scope of a cohort."""

FORK_UNHELD: Final = "fork_unheld"
"""Forks that did not wait for a thread of Radiosonde to pause or to end an import, because that took longer than 100 ms, or than ten
seconds for a write to the disk. No prediction is lost in the first case; in the second the child cannot store anything and logs it."""

NAMES_LOST: Final = "names_lost"
"""Names that could not be written beside a ring in the spool; readers show codes instead."""

DIED_IN_FLIGHT: Final = "died_in_flight"
"""Predictions that were running when their process died; their callers got no result."""

JOIN_PRUNED: Final = "join_pruned"
"""Predictions removed from the join store early to bound its size; their labels count as expired. Counted once there are labels, those
removed before included: a process that never labels has lost nothing."""

PREDICTIONS_UNJOINABLE: Final = "predictions_unjoinable"
"""Predictions that labels cannot find, because the join store did not accept them in time, or because their writer had to reclaim
their slots. Counted once there are labels, like those removed from the join store."""

RECEIPT_UNISSUED: Final = "receipt_unissued"
"""Receipts that were not issued: for a batch, a prediction that failed or whose output could not be read, a record that had been
overwritten, or names too long for a receipt. The caller got ``""``."""

EXPORT_FAILED: Final = "export_failed"
"""Exports that a backend rejected or did not answer; cumulative counts arrive with the next success."""

EXPORT_REJECTED: Final = "export_rejected"
"""Points, sketch events and spans that a backend reported as rejected (OTLP's partial success)."""

NOTIFICATIONS_DROPPED: Final = "notifications_dropped"
"""Notifications of ``radiosonde watch`` that their receiver refused, or did not take within a day, or that were more than may wait."""

SKETCH_EVENTS_DROPPED: Final = "sketch_events_dropped"
"""Windows whose sketches could not be delivered and exceeded the buffer."""

WINDOW_EVENTS_DROPPED: Final = "window_events_dropped"
"""Windows that could not be delivered as events and exceeded the buffer, or that no document can represent."""

SPANS_DROPPED: Final = "spans_dropped"
"""Spans after the fact that no backend accepted and that exceeded the buffer."""

STORE_FAILED: Final = "store_failed"
"""Windows that could not be stored and exceeded the buffer."""

STORE_REFUSED: Final = "store_refused"
"""Windows that no store can represent: a name that is not text, a number beyond 64 bits. Other windows are stored."""

STORE_PRUNED: Final = "store_pruned"
"""Windows removed from the store to bound its age and size."""

ALL_LOSSES: Final = tuple(
    sorted(value for name, value in globals().items() if name.isupper() and isinstance(value, str))
)
