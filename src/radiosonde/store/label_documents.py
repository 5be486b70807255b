"""The labels of a window as two plain documents, and back, without losing a bit.

Column ``labels`` holds what version 1 of the schema knew, ``label_tables`` what came since. Its larger tables are written
without what is zero, because a part made by a trickle of labels fills few cells. The place of a cell is
``feature * width + column``, from 0. What SQL is to read (``joint``) is a list of records, the rest are columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radiosonde.errors import StoreError
from radiosonde.model import CONFIDENCE_BINS, LAG, LabelCounts
from radiosonde.store.documents import Document, counts_from, sums_from


def labels_document(labels: LabelCounts) -> dict[str, Any]:
    """Return the first document of *labels*; outcomes are one entry per (result, lag), calibration a list per quantity."""
    labelled, correct, confidence_sums = labels.calibration.T.tolist()
    return {
        "outcomes": _outcomes_document(labels.outcomes),
        "calibration": {"labelled": labelled, "correct": correct, "confidence_sums": confidence_sums},
        "classes": list(labels.classes),
        "class_counts": labels.class_counts.tolist(),
        "lag_counts": labels.lag_counts.tolist(),
        "lag_edges_s": [float(edge) for edge in labels.lag_edges_s],
        "residual_sum": float(labels.residual_sum),
        "residual_square_sum": float(labels.residual_square_sum),
    }


def label_tables_document(labels: LabelCounts) -> dict[str, Any]:
    """Return the second document of *labels*."""
    occupied = np.flatnonzero(labels.lags.any(axis=0))
    first, end = (int(occupied[0]), int(occupied[-1]) + 1) if occupied.size else (0, 0)
    rows, sums, square_sums = (labels.residual_cells[:, :, moment] for moment in range(3))
    places = np.flatnonzero(labels.residual_cells.any(axis=2))
    return {
        "retractions": _outcomes_document(labels.retractions),
        "never": int(labels.never),
        "residual_absolute_sum": float(labels.residual_absolute_sum),
        "lags": {"scale": LAG.scale, "offset": LAG.offset + first, "counts": labels.lags[:, first:end].tolist()}
        if labels.lags.size
        else None,
        "joint": [line for pair, table in labels.joint.items() for line in _joint_lines(pair, table)],
        "grid": labels.grid,
        "features": list(labels.features),
        "width": _width(labels),
        "cells": {label: _sparse(table) for label, table in labels.cells.items()},
        "residual_cells": {
            "places": places.tolist(),
            "rows": rows.ravel()[places].tolist(),
            "sums": sums.ravel()[places].tolist(),
            "square_sums": square_sums.ravel()[places].tolist(),
        },
    }


def labels_from(document: Document, tables: Document | None) -> LabelCounts:
    """Return the label counts of both documents; the second is None where version 1 of the schema counted.

    Raises:
        StoreError: the lags have another geometry than this version of Radiosonde counts with.
    """
    calibration = document["calibration"]
    classes = tuple(document["classes"])
    lag_edges_s = tuple(float(edge) for edge in document["lag_edges_s"])
    return LabelCounts(
        outcomes=_outcomes_from(document["outcomes"]),
        calibration=np.column_stack(
            [sums_from(calibration[quantity]) for quantity in ("labelled", "correct", "confidence_sums")]
        ),
        classes=classes,
        class_counts=counts_from(document["class_counts"]),
        lag_counts=counts_from(document["lag_counts"]).reshape(len(classes), len(lag_edges_s) + 1),
        lag_edges_s=lag_edges_s,
        residual_sum=float(document["residual_sum"]),
        residual_square_sum=float(document["residual_square_sum"]),
        **({} if tables is None else _tables_from(tables, len(classes))),
    )


def _tables_from(tables: Document, classes: int) -> dict[str, Any]:
    features = tuple(tables["features"])
    width = int(tables["width"])
    missed = tables["residual_cells"]
    residual_cells = np.zeros((len(features), width, 3)) if width else np.zeros((0, 0, 3))
    places = counts_from(missed["places"])
    for moment, quantity in enumerate(("rows", "sums", "square_sums")):
        residual_cells.reshape(-1, 3)[places, moment] = sums_from(missed[quantity])
    return {
        "retractions": _outcomes_from(tables["retractions"]),
        "never": int(tables["never"]),
        "residual_absolute_sum": float(tables["residual_absolute_sum"]),
        "lags": _lags_from(tables["lags"], classes),
        "joint": _joint_from(tables["joint"]),
        "grid": tables["grid"],
        "features": features,
        "cells": {label: _dense(cells, (len(features), width)) for label, cells in tables["cells"].items()},
        "residual_cells": residual_cells,
    }


def _outcomes_document(outcomes: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    return [{"result": result, "lag": lag, "rows": int(rows)} for (result, lag), rows in outcomes.items()]


def _outcomes_from(entries: Any) -> dict[tuple[str, str], int]:
    return {(entry["result"], entry["lag"]): int(entry["rows"]) for entry in entries}


def _joint_lines(pair: tuple[str, str], table: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Return the lines of *table* that hold something; the first one at least, because the pair is known."""
    bins = np.flatnonzero(table.any(axis=1)).tolist() or [0]
    return [
        {
            "predicted": pair[0],
            "label": pair[1],
            "bin": place,
            "rows": rows,
            "confidence_sum": confidence_sum,
            "confidence_square_sum": confidence_square_sum,
        }
        for place, (rows, confidence_sum, confidence_square_sum) in zip(bins, table[bins].tolist(), strict=True)
    ]


def _joint_from(lines: Any) -> dict[tuple[str, str], NDArray[np.float64]]:
    joint: dict[tuple[str, str], NDArray[np.float64]] = {}
    for line in lines:
        pair = (line["predicted"], line["label"])
        if pair not in joint:
            joint[pair] = np.zeros((CONFIDENCE_BINS + 1, 3))
        joint[pair][line["bin"]] = (line["rows"], line["confidence_sum"], line["confidence_square_sum"])
    return joint


def _lags_from(document: Document | None, classes: int) -> NDArray[np.int64]:
    if document is None:
        return np.zeros((0, 0), dtype=np.int64)
    first = int(document["offset"]) - LAG.offset
    counts = counts_from(document["counts"]).reshape(classes, -1)
    if document["scale"] != LAG.scale or first < 0 or first + counts.shape[1] > LAG.size:
        raise StoreError(
            f"a table of label lags of scale {document['scale']}, offset {document['offset']} does not fit scale "
            f"{LAG.scale}; read this store with the version of Radiosonde that wrote it"
        )
    lags = np.zeros((classes, LAG.size), dtype=np.int64)
    lags[:, first : first + counts.shape[1]] = counts
    return lags


def _width(labels: LabelCounts) -> int:
    widths = (labels.residual_cells.shape[1], *(table.shape[1] for table in labels.cells.values()))
    return int(max(widths))


def _sparse(table: NDArray[np.int64]) -> dict[str, Any]:
    places = np.flatnonzero(table)
    return {"places": places.tolist(), "rows": table.ravel()[places].tolist()}


def _dense(cells: Document, shape: tuple[int, int]) -> NDArray[np.int64]:
    table = np.zeros(shape, dtype=np.int64)
    table.reshape(-1)[counts_from(cells["places"])] = counts_from(cells["rows"])
    return table
