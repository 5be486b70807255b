"""The colours of the HTML report: text and marks reach level AA of WCAG 2.2 in light and in dark."""

from __future__ import annotations

import re

import pytest

from radiosonde.diagnose.html import html_page

TEXT, MARK = 4.5, 3.0
"""Least contrast of text (1.4.3), and of lines, bars and borders that mean something (1.4.11)."""

ON_CARD = ("ink", "soft", "red")
BADGES = ("soft", "red", "amber", "blue", "green")
SERIES = range(6)


def colours(mode):
    """Return the colours of *mode* by name, as red, green, blue and opacity."""
    light, dark = re.findall(r":root \{(.*?)\}", html_page("t", ""), flags=re.DOTALL)[:2]
    found = dict(re.findall(r"--(\w+): ([^;]+);", light))
    if mode == "dark":
        found.update(re.findall(r"--(\w+): ([^;]+);", dark))
    return {name: parsed(value.strip()) for name, value in found.items()}


def parsed(value):
    """Return a CSS colour as numbers."""
    if value.startswith("rgba"):
        return tuple(float(part) for part in value[5:-1].split(","))
    digits = value[1:] if len(value) == 7 else "".join(2 * digit for digit in value[1:])
    return (*(float(int(digits[at : at + 2], 16)) for at in (0, 2, 4)), 1.0)


def over(front, back):
    """Return *front* as it looks on *back*."""
    return (*(front[3] * a + (1 - front[3]) * b for a, b in zip(front[:3], back[:3], strict=True)), 1.0)


def luminance(colour):
    """Return the relative luminance, as WCAG defines it."""
    parts = [part / 255 for part in colour[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """Return the contrast of two opaque colours."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_of_known_colours():
    """Black on white is 21, and the grey that is known to reach AA just does."""
    assert contrast(parsed("#000"), parsed("#fff")) == pytest.approx(21.0)
    assert contrast(parsed("#767676"), parsed("#ffffff")) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_can_be_read(mode):
    """Words on the page, on cards, in code, on badges, in bars and in the marked time of a chart."""
    of = colours(mode)
    marked = over(of["mark"], of["card"])
    pairs = {
        **{f"{name} on card": (of[name], of["card"]) for name in ON_CARD},
        **{f"{name} on page": (of[name], of["page"]) for name in ("ink", "soft")},
        **{f"{name} on the marked time": (of[name], marked) for name in ("soft", "red")},
        **{f"badge {name}": (of["card"], of[name]) for name in BADGES},
        **{f"inside series {number}": (of["card"], of[f"c{number}"]) for number in SERIES},
        "code": (of["ink"], of["code"]),
    }
    weak = {name: round(contrast(*pair), 2) for name, pair in pairs.items() if contrast(*pair) < TEXT}
    assert weak == {}


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_lines_and_bars_can_be_told_from_the_ground(mode):
    """Every colour that a chart draws with, on the card and in the marked time, and the edge of a card."""
    of = colours(mode)
    drawn = [*(f"c{number}" for number in SERIES), "ref", "red", "amber"]
    grounds = {"card": of["card"], "marked time": over(of["mark"], of["card"])}
    weak = {(name, ground): round(contrast(of[name], colour), 2) for name in drawn for ground, colour in grounds.items() if contrast(of[name], colour) < MARK}  # fmt: skip
    assert weak == {}
