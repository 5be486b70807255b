"""Exporters: pure functions from a `Snapshot` or closed windows to Prometheus, OTLP or a store.

`radiosonde.export.builder` turns a snapshot into carrier-neutral blocks of points and `radiosonde.export.cardinality`
bounds them; `radiosonde.export.otlp` and `radiosonde.export.prometheus` only encode them. Both carriers are therefore consistent, and a
metric is added in one place.
"""
