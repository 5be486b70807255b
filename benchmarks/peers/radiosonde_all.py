"""Radiosonde with every carrier on: OTLP, Prometheus and the store. The wheel of this tree; settings of no other kind."""

from __future__ import annotations

import radiosonde as rs
from benchmarks.peers._contract import CLASSES, MODEL, VARIANT, VERSION, Place, Predict, Running


def start(predict: Predict, place: Place) -> Running:
    """Observe with everything on; references and buckets are Radiosonde's to find."""
    rs.start(otlp=True, prometheus=True, store=str(place.folder / "radiosonde.sqlite"), export_interval_s=3600)
    observed = rs.observe(MODEL, version=VERSION, variant=VARIANT, classes=CLASSES)(predict)
    return Running(observed, _flush, counted=lambda: rs.statistics().records)


def _flush() -> None:
    from prometheus_client import generate_latest

    if not rs.flush(30.0):
        raise RuntimeError(f"the flush did not end in time: {rs.statistics()}")
    generate_latest()
