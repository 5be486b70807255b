"""Short HTML of a value for notebooks: a headline and a table, with every text escaped and every size bounded.

The one place that writes HTML for `_repr_html_`. Names come from telemetry, and a notebook runs any script in its cells, so nothing here is
written without `text_of`. No style is set: a notebook has its own, light or dark.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from radiosonde.model.names import plain_text

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_TEXT: Final = 300
"""Characters of a text that are shown."""

MOST_ROWS: Final = 12
"""Rows of a table that are shown; the number of the others is added."""


def shown(text: object, longest: int = LONGEST_TEXT) -> str:
    """Return *text* on one line without control characters, with an ellipsis where it is longer than *longest* characters."""
    plain = plain_text(text, longest + 1)
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}\u2026"


def text_of(text: object, longest: int = LONGEST_TEXT) -> str:
    """Return *text* as HTML that shows it, at most *longest* characters of it."""
    return escape(shown(text, longest))


def card(
    headline: str, facts: Sequence[tuple[str, object]], head: Sequence[str] = (), rows: Sequence[Sequence[object]] = ()
) -> str:
    """Return a headline, a line of facts and a table, as HTML.

    Args:
        headline: plain text.
        facts: (label, value); empty values are left out.
        head: names of the columns.
        rows: the table; at most `MOST_ROWS` are shown.
    """
    said = "; ".join(f"{text_of(label)}: {text_of(value)}" for label, value in facts if value not in ("", None))
    parts = [f"<p><strong>{text_of(headline)}</strong></p>"]
    if said:
        parts.append(f"<p>{said}</p>")
    if rows:
        cells = "".join(f"<th>{text_of(name)}</th>" for name in head)
        body = "".join(f"<tr>{''.join(f'<td>{text_of(cell)}</td>' for cell in row)}</tr>" for row in rows[:MOST_ROWS])
        parts.append(f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>")
    if len(rows) > MOST_ROWS:
        parts.append(f"<p>and {len(rows) - MOST_ROWS} more</p>")
    return f"<div>{''.join(parts)}</div>"
