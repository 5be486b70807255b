"""State of a watch as blocks: incidents, detection floors, gaps, and whether the watch itself is running."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from radiosonde.export.blocks import Block, Scalars, scalar, scalars
from radiosonde.export.labels import Attributes, LabelPage, Labels
from radiosonde.model.watched import Watched, WatchedIncident
from radiosonde.semconv import attributes as names
from radiosonde.semconv import metrics
from radiosonde.semconv.catalogue import METRICS

STATUSES = ("findings", "healthy", "not checked", "stale")


def watch_blocks(watched: Watched, page: LabelPage) -> list[Block]:
    """Return the blocks of *watched*: a few series for each model and check, and two for each incident."""
    blocks: list[Block] = [
        scalar(page, metrics.WATCH_LEADING, int(watched.is_leading)),
        scalars(page, metrics.WATCH_LOOKS, (), names.WATCH_RESULT, watched.looks),
        _points(
            page, metrics.WATCH_NOTIFICATIONS,
            {((names.WATCH_CHANNEL, channel), (names.WATCH_DELIVERY, became)): count
             for (channel, became), count in watched.notifications.items()},
        ),
        scalars(page, metrics.WATCH_PENDING, (), names.WATCH_CHANNEL, watched.pending),
    ]  # fmt: skip
    if watched.last_look_ns:
        blocks.append(scalar(page, metrics.WATCH_LAST_LOOK_TIMESTAMP, watched.last_look_ns / 1e9))
    if watched.last_window_ns:
        blocks.append(scalar(page, metrics.WATCH_LAST_WINDOW_TIMESTAMP, watched.last_window_ns / 1e9))
    if watched.is_leading:
        blocks += _findings(watched, page)
    return blocks


def _findings(watched: Watched, page: LabelPage) -> Iterable[Block]:
    yield _points(page, metrics.INCIDENT_ACTIVE, {_incident(each): int(each.is_active) for each in watched.incidents})
    yield _points(
        page, metrics.INCIDENT_EVIDENCE,
        {(*_incident(each), (names.INCIDENT_HYPOTHESIS, each.hypothesis)): each.ln_e
         for each in watched.incidents if each.is_active},
    )  # fmt: skip
    yield _points(
        page, metrics.CHECK_FLOOR,
        {((names.MODEL_NAME, each.model), (names.CHECK_NAME, each.check), (names.CHECK_UNIT, each.unit),
          (names.CHECK_BOUND, each.bound)): each.value for each in watched.floors},
    )  # fmt: skip
    yield _points(
        page, metrics.CHECK_RESULTS,
        {((names.MODEL_NAME, model), (names.CHECK_NAME, check), (names.CHECK_RESULT, result)): count
         for (model, check, result), count in watched.results.items()},
    )  # fmt: skip
    yield _points(
        page, metrics.WATCH_STATUS,
        {((names.MODEL_NAME, model), (names.WATCH_STATE, each)): int(each == status)
         for model, status in watched.statuses.items() for each in STATUSES},
    )  # fmt: skip


def _incident(each: WatchedIncident) -> tuple[tuple[str, str], ...]:
    return (
        (names.MODEL_NAME, each.model),
        (names.MODEL_VERSION, each.version),
        (names.VARIANT, each.variant),
        (names.INCIDENT_ID, each.id),
        (names.INCIDENT_NAME, each.name),
        (names.INCIDENT_KIND, each.kind),
        (names.INCIDENT_SEVERITY, each.severity),
        (names.INCIDENT_PLACE, each.place),
    )


def _points(page: LabelPage, name: str, values: Mapping[tuple[tuple[str, str], ...], int | float]) -> Scalars:
    rows: tuple[Attributes, ...] = tuple(values)
    return Scalars(METRICS[name], page.get((name, rows), lambda: Labels(rows)), tuple(values.values()))
