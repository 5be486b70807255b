"""The commands find in ClickHouse, which a collector fed, what they find in the store of the same service."""

from __future__ import annotations

import math
from typing import Any

import pytest

from radiosonde.sketches.merge import merge_windows
from radiosonde.sources import open_source, parse
from tests.backends._findings import diagnosis_of, first_findings

ROUNDING = 1e-9
"""Parts are added up in another order."""


def differences(found: Any, expected: Any, at: str = "") -> list[str]:
    """Return where two documents differ by more than rounding."""
    if isinstance(found, dict) and isinstance(expected, dict) and found.keys() == expected.keys():
        return [each for key in found for each in differences(found[key], expected[key], f"{at}.{key}")]
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        return [
            each
            for place, pair in enumerate(zip(found, expected, strict=True))
            for each in differences(*pair, f"{at}[{place}]")
        ]
    if (
        isinstance(found, float)
        and isinstance(expected, float)
        and math.isclose(found, expected, rel_tol=ROUNDING, abs_tol=1e-9)
    ):
        return []
    return [] if found == expected else [f"{at}: {found!r}, not {expected!r}"]


def test_a_diagnosis_of_the_database_is_that_of_the_store(engines):
    """To the last word and number: incidents, notes, what passed with its floors, and what was not checked."""
    stored, read = (diagnosis_of(engines.lab, source) for source in (engines.lab.store, engines.clickhouse.address))
    assert stored["findings"]
    # The number of parts that windows lie in: a store adds them up from time to time, the reader of a database always.
    assert stored.pop("windows") > 0 < read.pop("windows")
    assert differences(read, stored) == []


def test_a_watch_of_the_database_sends_what_one_of_the_store_sends(engines):
    """At its first look: the same incidents with the same evidence."""
    stored, read = (
        {each["id"]: each for each in first_findings(engines.lab, source)}
        for source in (engines.lab.store, engines.clickhouse.address)
    )
    assert stored
    assert differences(read, stored) == []


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9], ids=["all", "half", "a tenth"])
def test_an_interval_has_the_same_calls(engines, share):
    """Whichever bound is asked for: of each series and minute as many as in the store."""
    since_ns = round(engines.lab.end_ns - (1 - share) * 210 * 60e9)

    def calls(source: Any) -> dict[Any, int]:
        windows = open_source(source, sketches=False).windows(since_ns, engines.lab.end_ns, "risk")
        return {(each.key, each.start_ns): each.calls for each in merge_windows(windows)}

    found = calls(parse(engines.clickhouse.address))
    assert found == calls(engines.lab.store)
    assert sum(found.values()) > 0
