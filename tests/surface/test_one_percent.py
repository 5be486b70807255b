"""Shares are written by one function, so that a report, a finding and a command never round the same number differently."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
BY_HAND = re.compile(r"\{100 \* [^{}]*:[^{}+]*\} %|:\.?\d*%\}")


def test_no_share_is_formatted_by_hand() -> None:
    """Call `radiosonde.model.percent.percent`; only signed differences have a format of their own."""
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for folder in ("src/radiosonde", "integrations")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if BY_HAND.search(line)
    ]
    assert found == []


def test_a_share_formatted_by_hand_is_found() -> None:
    """Both ways to write one are seen; a signed difference is not one."""
    assert BY_HAND.search('f"{100 * share:.0f} %"')
    assert BY_HAND.search('f"{share:.1%}"')
    assert not BY_HAND.search('f"{100 * ratio:+.1f} %"')
