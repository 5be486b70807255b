"""Exporters: pure functions from a `Snapshot` or from closed windows to a standard carrier. They know nothing of the ring.

`radiosonde.export.builder` turns a snapshot into carrier-neutral blocks of points and `radiosonde.export.cardinality`
bounds them; `radiosonde.export.otlp` and `radiosonde.export.prometheus` only spell them out. So both carriers say the
same, and a metric is added in one place.
"""
