"""whylogs' rolling logger: one row per prediction, answer and duration as columns beside the features, a file per interval.

Its interval is an hour, and a flush ends it early by closing the logger and opening the next: what its own timer does, by
its public functions. Its analytics are off; the three attributes are metadata of the profile.
"""

from __future__ import annotations

import time
from typing import Any

import whylogs as why
from whylogs.core.view.dataset_profile_view import DatasetProfileView

from benchmarks.peers._contract import CLASSES, MODEL, VARIANT, VERSION, Place, Predict, Running
from benchmarks.workloads import names


def start(predict: Predict, place: Place) -> Running:
    """Open a rolling logger and wrap the function."""
    feature_names = names()
    rows_before = 0

    def opened() -> Any:
        metadata = {"model.name": MODEL, "model.version": VERSION, "model.variant": VARIANT}
        logger = why.logger(mode="rolling", interval=1, when="H", base_name=f"part{rows_before}", metadata=metadata)
        logger.append_writer("local", base_dir=str(place.folder))
        return logger

    logger = opened()

    def observed(features: Any) -> Any:
        began_s = time.perf_counter()
        answer = predict(features)
        spent_s = time.perf_counter() - began_s
        row: dict[str, Any] = dict(zip(feature_names, features[0].tolist(), strict=True))
        chosen = int(answer[0].argmax())
        row["class"] = CLASSES[chosen]
        row["confidence"] = float(answer[0, chosen])
        row["duration_s"] = spent_s
        logger.log(row)
        return answer

    def flush() -> None:
        nonlocal logger, rows_before
        logger.close()
        rows_before += 1
        logger = opened()

    return Running(observed, flush, counted=lambda: sum(map(_rows, place.folder.glob("*.bin"))))


def _rows(path: Any) -> int:
    column = DatasetProfileView.read(str(path)).get_column("duration_s")
    return int(column.get_metric("counts").n.value) if column is not None else 0
