"""Names of series and labels for queries, looked up in the registry; undeclared names raise `UnknownNameError`.

Queries are checked as they are made: a metric must exist, only histograms have parts, and a metric can be selected and grouped only by
attributes that it carries. A query whose label is misspelt returns nothing in every backend, so nothing else would find it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from radiosonde.semconv.catalogue import METRICS
from radiosonde.semconv.prometheus import label_name, prometheus_name

Part = Literal["", "bucket", "count", "sum"]
Matchers = Mapping[str, str]
"""By attribute: the value, or with a leading ``~`` a regular expression it must match, with ``!~`` one it must not match."""

_LE = "le"
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")


class UnknownNameError(LookupError):
    """A query uses a name that the registry does not declare."""


def series(metric: str, matchers: Matchers | None = None, part: Part = "") -> str:
    """Return the Prometheus selector of a metric.

    Args:
        metric: dotted name.
        matchers: by attribute (``le`` for buckets), see `Matchers`.
        part: part of a histogram.

    Raises:
        UnknownNameError: the registry has no such metric, part or attribute.
    """
    definition = METRICS.get(metric)
    if definition is None:
        raise UnknownNameError(f"no metric {metric!r} in the registry")
    if bool(part) != (definition.instrument == "histogram"):
        raise UnknownNameError(
            f"{metric} is a {definition.instrument}; bucket, count and sum are parts of histograms, and all they have"
        )
    name = prometheus_name(definition)
    suffix = f"_{part}" if part else "_total" if name.kind == "counter" else ""
    asked = dict(matchers or {})
    le = [_matcher(_LE, asked.pop(_LE))] if part == "bucket" and _LE in asked else []
    check_attributes(metric, asked)
    pairs = [*(_matcher(label_name(attribute), value) for attribute, value in asked.items()), *le]
    return name.family + suffix + (f"{{{', '.join(pairs)}}}" if pairs else "")


def check_attributes(metric: str, attributes: Iterable[str]) -> None:
    """Check that a metric carries *attributes*.

    Raises:
        UnknownNameError: it does not.
    """
    for attribute in attributes:
        if attribute not in METRICS[metric].attributes:
            raise UnknownNameError(
                f"{metric} has no attribute {attribute!r}; it has {', '.join(METRICS[metric].attributes)}"
            )


def label(attribute: str) -> str:
    """Return the label of an attribute.

    Raises:
        UnknownNameError: no metric carries it.
    """
    if not any(attribute in definition.attributes for definition in METRICS.values()):
        raise UnknownNameError(f"no metric has an attribute {attribute!r}")
    return label_name(attribute)


def any_of(values: Iterable[str]) -> str:
    """Return a regular expression of Prometheus (RE2) for one of these values."""
    return "|".join(_META.sub(r"\\\g<0>", value) for value in values)


def bound(seconds: float) -> str:
    """Return the matcher of a bucket bound: a scrape writes ``1.0`` where OTLP and Prometheus 3 write ``1``."""
    return f"~{seconds:g}([.]0)?" if float(seconds).is_integer() else repr(float(seconds))


def _matcher(name: str, value: str) -> str:
    operator = next((sign for sign in ("!~", "~") if value.startswith(sign)), "")
    text = value[len(operator) :]
    operator = {"": "=", "~": "=~"}.get(operator, operator)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}{operator}"{escaped}"'
