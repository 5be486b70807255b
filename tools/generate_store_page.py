"""Write the table of fields in ``docs/store.md`` from the declarations of the window.

python tools/generate_store_page.py            write the table
python tools/generate_store_page.py --check    exit 1 if it is out of date
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from radiosonde.model import SeriesKey
from radiosonde.model.fields import Stored, declarations
from radiosonde.store.documents import FEATURE_TABLES, places

PAGE = Path(__file__).resolve().parents[1] / "docs/store.md"
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


def page() -> str:
    """Return the whole page with the table as it should be."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n{END}{rest.split(END)[1]}"


def main() -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the table is out of date")
    is_check = parser.parse_args().check
    wanted = page()
    if is_check:
        if PAGE.read_text(encoding="utf-8") != wanted:
            print(f"{PAGE.name} is out of date: run python tools/generate_store_page.py", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
