"""A value written as YAML is read back unchanged."""

from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from radiosonde.assets.yaml_text import yaml_text

WORDS = st.sampled_from(
    [
        "yes",
        "No",
        "on",
        "null",
        "5m",
        "30s",
        "1",
        "1.0",
        "",
        " a",
        "a ",
        "a: b",
        "#x",
        "- y",
        "~",
        "{",
        "a #b",
        "NaN",
        ".inf",
    ]
)
LINES = st.lists(st.sampled_from(["sum by (job) (x)", "/ y > 0", '- "z"']), min_size=2, max_size=3).map("\n".join)
SCALARS = st.one_of(
    WORDS,
    LINES,
    st.text(st.characters(codec="utf-8", exclude_characters="\x85\u2028\u2029"), max_size=8),
    st.integers(),
    st.booleans(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_", min_size=1), inner, max_size=3),
    max_leaves=9,
)


@given(
    st.dictionaries(st.text("abc_", min_size=1), VALUES, min_size=1, max_size=4),
    st.sampled_from(["", "one", "one\n\ntwo: x"]),
)
def test_it_reads_back(document, comment):
    """Texts that look like numbers, flags or structure, queries of several lines, empty lists, nesting."""
    assert yaml.safe_load(yaml_text(document, comment)) == document
