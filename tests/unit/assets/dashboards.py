"""What tests need of a dashboard: its queries, these with the variables filled in, and the places of its panels."""

from __future__ import annotations

import re


def expressions(dashboard: dict) -> list[str]:
    """Return every query of a dashboard, that of the annotations included."""
    drawn = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return [*drawn, *(each["expr"] for each in dashboard["annotations"]["list"])]


def filled(expr: str) -> str:
    """Return a query with *All* in every filter, as Grafana sends it."""
    return re.sub(r'"\$\w+"', '".*"', expr)


def assert_apart(panels: list[dict]) -> None:
    """Fail if a panel lies on another or leaves the 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells
