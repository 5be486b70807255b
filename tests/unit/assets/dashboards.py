"""What tests need of a dashboard: its queries, and these with the variables filled in."""

from __future__ import annotations

import re


def expressions(dashboard: dict) -> list[str]:
    """Return every query of a dashboard, that of the annotations included."""
    drawn = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return [*drawn, *(each["expr"] for each in dashboard["annotations"]["list"])]


def filled(expr: str) -> str:
    """Return a query with *All* in every filter, as Grafana sends it."""
    return re.sub(r'"\$\w+"', '".*"', expr)
