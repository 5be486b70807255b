"""The one door to HTML: every value that a page prints passes `shown` and Jinja's escaping.

Names come from requests, labels and foreign stores. `shown` replaces control characters, among them those of a terminal and those that
reverse the direction of text, and cuts what is longer than a page can show; autoescaping makes the rest text. Only figures, which
`radiosonde.diagnose.svg` and `radiosonde.desk.charts` have escaped, are markup.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from radiosonde.config.values import duration_words
from radiosonde.desk.words import clock_words, grouped, minute, page_url, short_duration
from radiosonde.model import printable
from radiosonde.model.names import name_of, plain_text
from radiosonde.model.percent import percent

if TYPE_CHECKING:
    from jinja2 import Environment

LONGEST = 4000
"""Characters of one text on a page: longer than any command, far shorter than the longest name of a foreign store."""
LONGEST_NAME = 120
"""Characters of a name within a line or a table; the page of the model or incident shows more of it."""


def shown(value: object) -> object:
    """Return *value* for a page: markup as it is, anything else as text without control characters, at most `LONGEST` characters."""
    from jinja2 import Undefined
    from markupsafe import Markup

    # A name that a template misspells is undefined too, and raises when Jinja prints it.
    if value is None or isinstance(value, Markup | Undefined | bool | int | float):
        return "" if value is None else value
    text = plain_text(value, LONGEST + 1)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\u2026"


def name_of_line(value: object, longest: int = LONGEST_NAME) -> str:
    """Return *value* in at most *longest* characters, for a line or a table."""
    text = plain_text(value, longest + 1)
    return text if len(text) <= longest else f"{text[: longest - 1]}\u2026"


def figure(markup: str) -> Any:
    """Return the HTML of a figure, whose texts are escaped, for a template."""
    from markupsafe import Markup

    return Markup(printable(markup))  # noqa: S704  # the builders of figures escape every text


@cache
def environment() -> Environment:
    """Return the templates with their filters."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("radiosonde.desk"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "clock": clock_words,
        "duration": duration_words,
        "grouped": grouped,
        "minute": minute,
        "name": name_of_line,
        "percent": percent,
        "safe_name": name_of,
        "short_duration": short_duration,
    }
    made.globals |= {"url": page_url}
    return made


def render(template: str, **values: Any) -> str:
    """Return the page of *template* with *values*."""
    return environment().get_template(template).render(**values)
