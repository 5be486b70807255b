"""Write the table of fields in ``docs/store.md`` from the declarations of the window.

python tools/generate_store_page.py            write the table
python tools/generate_store_page.py --check    exit 1 if it is out of date
"""

from __future__ import annotations

import sys

from _generated import REPOSITORY, run

from radiosonde.model import SeriesKey
from radiosonde.model.fields import Stored, declarations
from radiosonde.store.documents import FEATURE_TABLES, places

PAGE = "docs/store.md"
BEGIN, END = "<!-- fields: begin, made by tools/generate_store_page.py -->", "<!-- fields: end -->"
HEAD = "| column | axes | type | merge of two windows | merge over series | encoding | read by |\n|---|---|---|---|---|---|---|\n"


def table() -> str:
    """Return the table, one line per field, groups in groups included."""
    lines = []
    for place in places():
        lies_at = "`, `".join(SeriesKey._fields) if place.column == "key" else ".".join((place.column, *place.path))
        nested = declarations(place.field.group) if place.field.group is not None else ()
        fields = [(lies_at, place.field)] if not nested else [(f"{lies_at}.{each.name}", each) for each in nested]
        for at, field in fields:
            axes = " × ".join(field.axes) + (f" by {', '.join(field.keys)}" if field.keys else "")
            shape = f"table `{place.column}`" if place.column in FEATURE_TABLES else _shape(field.stored)
            cells = (f"`{at}`", axes.strip(), field.dtype, field.merge.value, field.pool.value, shape, field.read_by)
            lines.append(f"| {' | '.join(cells)} |\n")
    return HEAD + "".join(lines)


def _shape(stored: Stored) -> str:
    return "" if stored is Stored.PLAIN else stored.value


def generated() -> dict[str, str]:
    """Return the page with the table as the declarations make it."""
    before, rest = (REPOSITORY / PAGE).read_text("utf-8").split(BEGIN)
    return {PAGE: f"{before}{BEGIN}\n\n{table()}\n{END}{rest.split(END)[1]}"}


def main(arguments: list[str] | None = None) -> int:
    """Write the table, or check it."""
    return run(__file__, __doc__, generated, arguments)


if __name__ == "__main__":
    sys.exit(main())
