"""Semantic conventions: the names of all attributes, metrics and events, each written once, in ``registry/*.yaml``.

The modules `attributes`, `metrics`, `catalogue` and `events` are generated from the registry by ``tools/generate_semconv.py``; so is
``docs/semconv.md``. Every name defined here is under the root ``radiosonde``; names that OpenTelemetry defines are reused
by reference. The YAML is not read at run time.
"""
