"""The places where internal errors are caught. An error is counted and logged under its place.

A place is one statement of the source, so a success at one place says nothing about another. A test holds both: each name
used is registered here, and each is used at one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PLACES: Final[Mapping[str, str]] = {
    # In the caller's thread.
    "begin": "starting the record of a prediction",
    "finish": "recording the result of a prediction",
    "fail": "recording the exception of a prediction",
    "record": "recording a call that was timed elsewhere",
    "schema": "determining the features of a model",
    "open_writer": "opening the ring of a model",
    "stage_enter": "writing the current stage of a prediction to its ring",
    "stage_exit": "adding the time of a stage to its prediction",
    "receipt": "making a receipt",
    "watch_loop": "watching an event loop",
    "reference": "reading a reference profile named in the settings",
    "release_rings": "releasing the rings of functions that are gone",
    "prune_spool": "removing old rings of dead processes from the spool",
    # Live spans, with code of the user's tracer provider inside.
    "span_tracer": "asking the tracer provider for a tracer",
    "span_start": "starting the span of a prediction",
    "span_parent": "reading the span around a prediction",
    "span_pause": "detaching the span of a prediction from its context",
    "span_go_on": "attaching the span of a prediction to its context again",
    "future": "observing a result that is awaited later",
    "span_describe": "setting the attributes of a span",
    "span_end": "ending the span of a prediction",
    "span_stage_start": "starting the span of a stage",
    "span_stage_end": "ending the span of a stage",
    # In the consumer's thread, and in those of a flush, a scrape and the exit.
    "step": "a step of the consumer thread",
    "spool_watch": "checking the rings in a spool that an agent drains",
    "own_spool_watch": "checking the rings in the spool",
    "spool_end": "handing over to the agent at exit",
    "flush": "draining for a flush",
    "last_turn": "draining before the last windows are closed",
    "scrape": "draining before a snapshot is exported",
    "retrace": "reopening the ring of a model, with or without live spans",
    "idle_models": "releasing the ring of an idle model",
    "version": "determining a model's version",
    "deferred": "a deferred function of a plug-in",
    "deferred_late": "a deferred function of a plug-in, called at once because too many wait",
    "full_stack": "counting a call for which there was no room on the stack",
    "full_stack_end": "ending a prediction for which there was no room on the stack",
    "fold": "counting drained records",
    "close_window": "closing a window",
    "add_totals": "adding closed windows to the totals of a series",
    "preview": "counting the features that wait for a provisional reference",
    "fold_tally": "adding counts of reclaimed records",
    "reclaimed_rows": "saving reclaimed predictions for their labels",
    "labelled_rows": "saving drained predictions for their labels",
    "span_keep": "choosing predictions for a span after the fact",
    "span_rank": "looking for the slowest predictions of a window",
    "span_release": "making spans of the slowest predictions of a window",
    "health_sample": "sampling the health of the process",
    "health_publish": "sampling the health of the process for the agent",
    # In the threads that store and export.
    "deliver_labels": "handing labels to the join store",
    "join": "joining labels with their predictions",
    "store": "writing windows to the store",
    "export_keep": "passing closed windows and spans to an exporter",
    "export_prepare": "loading what an exporter needs",
    "export": "delivering what an exporter holds",
    "otlp_metrics": "sending metrics over OTLP",
    "otlp_sketches": "sending sketches over OTLP",
    "otlp_windows": "sending windows over OTLP",
    "otlp_spans": "sending spans over OTLP",
    "close_exporters": "closing an exporter",
    "close_labels": "closing the join store",
    # In the agent.
    "agent_turn": "a cycle of the agent",
    "agent_last_turn": "the last cycle of the agent",
    "agent_last_commit": "the last commit of the agent",
    "agent_counts": "reading what processes counted outside their rings",
    "agent_health": "reading the health of the processes",
    "agent_close_labels": "closing the agent's join store",
    # In a watch.
    "watch_turn": "a turn of the watch",
    "watch_send": "sending a notification",
    "watch_metrics": "sending the metrics of the watch over OTLP",
    # In the desk.
    "desk_look": "diagnosing for the desk",
    # In the guard itself.
    "log": "logging, in the host's own handler or formatter",
}
"""What each place covers, as the end of the sentence "Radiosonde failed while ..."."""
