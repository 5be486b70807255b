"""Rules and groups, and PromQL whose names come from the registry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from radiosonde.assets.names import Matchers, Part, check_attributes, label, series
from radiosonde.semconv import attributes as names

VERSION = (names.MODEL_NAME, names.MODEL_VERSION)
RELEASE = (*VERSION, names.VARIANT)
FEATURE = (*VERSION, names.REFERENCE_ID, names.FEATURE_NAME)
CELL = (*FEATURE, names.FEATURE_CELL)
"""Attributes that recorded series are grouped by."""


class Record(NamedTuple):
    """A recording rule.

    Attributes:
        name: ``radiosonde:subject:operation``, the window at its end.
        expr: PromQL.
    """

    name: str
    expr: str


class Alert(NamedTuple):
    """An alerting rule.

    Attributes:
        name: in capitals, with ``Radiosonde`` before it.
        expr: PromQL.
        severity: ``page``, ``ticket`` or ``info``.
        holds: how long the expression must hold first.
        keeps: how long the alert goes on after it stopped holding.
        annotations: summary and links.
    """

    name: str
    expr: str
    severity: str
    holds: str
    keeps: str
    annotations: dict[str, str]


class Group(NamedTuple):
    """Rules that are evaluated one after the other.

    Attributes:
        name: of the group.
        interval: between evaluations.
        rules: in order; a rule sees what those before it recorded.
    """

    name: str
    interval: str
    rules: Sequence[Record | Alert]


class Promql(NamedTuple):
    """Makes PromQL that keeps the labels of *by* in every aggregation.

    Attributes:
        by: labels of the scrape.
    """

    by: tuple[str, ...]

    def labels(self, *attributes: str) -> str:
        """Return a list of labels: those of the scrape, then those of *attributes*.

        Raises:
            UnknownNameError: no metric has one of them.
        """
        return ", ".join((*self.by, *map(label, attributes)))

    def increase(
        self, metric: str, window: str, attributes: tuple[str, ...], where: Matchers | None = None, part: Part = ""
    ) -> str:
        """Return the increase of a counter over *window*, summed over everything but *attributes*.

        Raises:
            UnknownNameError: the registry has no such metric or attribute.
        """
        grouped = tuple(attribute for attribute in attributes if attribute != "le")
        check_attributes(metric, grouped)
        labels = self.labels(*grouped) + (", le" if "le" in attributes else "")
        return f"sum by ({labels}) (increase({series(metric, where, part)}[{window}]))"


def rule_document(groups: Sequence[Group]) -> dict[str, Any]:
    """Return the content of a rule file, which is that of a ``PrometheusRule`` too."""
    return {
        "groups": [
            {"name": group.name, "interval": group.interval, "rules": [_rule(rule) for rule in group.rules]}
            for group in groups
        ]
    }


def _rule(rule: Record | Alert) -> dict[str, Any]:
    if isinstance(rule, Record):
        return {"record": rule.name, "expr": _tidy(rule.expr)}
    return {
        "alert": rule.name,
        "expr": _tidy(rule.expr),
        "for": rule.holds,
        "keep_firing_for": rule.keeps,
        "labels": {"severity": rule.severity, "component": "radiosonde"},
        "annotations": rule.annotations,
    }


def _tidy(expr: str) -> str:
    """Return an expression without the indentation it has in the source."""
    lines = [line.strip() for line in expr.strip().splitlines()]
    return "\n".join(re.sub(r" {2,}", " ", line) for line in lines if line)
