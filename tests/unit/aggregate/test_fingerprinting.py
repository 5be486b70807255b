"""Fingerprints that the pipeline counts: of which rows, and of which values."""

from __future__ import annotations

import dataclasses

import pytest

from radiosonde.model.fingerprints import DEFINITION
from radiosonde.reference.profile import Reference
from radiosonde.testing import fly
from tests import fingerprint_oracle as oracle
from tests.factories import make_feature, make_features, make_reference, make_window

ROWS = [
    {"wind": 1.5, "rain": 0, "carrier": "UA", "gate": 7},
    {"wind": -0.0, "rain": None, "carrier": "größe", "gate": 12},
    {"wind": float("nan"), "rain": 3, "carrier": None, "gate": 7},
    {"wind": 0.1, "rain": 2, "carrier": "UA", "gate": 1},
] * 3


def columns_of(rows: list[dict]) -> dict[str, list]:
    """Return rows as columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def references() -> dict[str, Reference | None]:
    """Return what a model may be counted by: training data in which a category is a number, other data, or nothing."""
    columns = columns_of(ROWS)
    texts = {**columns, "gate": [str(value) for value in columns["gate"]]}
    return {
        "numbers": Reference.fit(columns, model="delays"),
        "texts": Reference.fit(texts, model="delays"),
        "other categories": Reference.fit({**texts, "carrier": ["AA"] * len(ROWS)}, model="delays"),
        "none": None,
    }


@pytest.mark.parametrize("known", ["numbers", "texts", "other categories", "none"])
@pytest.mark.parametrize("is_batch", [False, True], ids=["singles", "batch"])
def test_fingerprints_do_not_depend_on_the_reference(known, is_batch):
    """They are those of the definition, whatever the kinds, cells and categories of the reference, for single rows and for batches."""
    with fly() as flight:
        predict = flight.observe("delays", reference=references()[known])(
            lambda given: ["on time"] * len(given) if is_batch else "on time"
        )
        for given in [ROWS] if is_batch else ROWS:
            predict(given)
        (window,) = flight.windows()
    columns = columns_of(ROWS)
    features = window.features
    found = dict(zip(features.names, features.fingerprints.tolist(), strict=True))
    assert found == {name: oracle.of_column(values) for name, values in columns.items()}
    assert features.row_fingerprint == oracle.of_rows(columns)
    assert (features.fingerprinted_rows, features.fingerprint_definition) == (len(ROWS), DEFINITION)
    assert window.is_fingerprinted


def test_categories_that_come_later_are_hashed_too():
    """Texts that the model had not seen when the first rows were hashed have their own hash."""
    names = [f"gate {number}" for number in range(40)]
    reference = Reference.fit({"gate": ["gate 0", "gate 1"]}, model="delays")
    with fly() as flight:
        predict = flight.observe("delays", reference=reference)(lambda row: 1)
        for name in names:
            predict({"gate": name})
            if name.endswith("0"):
                flight.flush()
        (window,) = flight.windows()
    assert window.features.fingerprints.tolist() == [oracle.of_column(names)]


def test_a_feature_with_hidden_values_is_left_out():
    """Its fingerprint is 0, and the rows have the fingerprint of the other features."""
    columns = columns_of(ROWS)
    reference = Reference.fit(columns, model="delays", pii=["wind", "carrier"])
    with fly() as flight:
        predict = flight.observe("delays", reference=reference)(lambda row: 1)
        for row in ROWS:
            predict(row)
        (window,) = flight.windows()
    found = dict(zip(window.features.names, window.features.fingerprints.tolist(), strict=True))
    assert (found["wind"], found["carrier"]) == (0, 0)
    shown = {name: columns[name] for name in ("rain", "gate")}
    assert found["rain"] == oracle.of_column(columns["rain"])
    assert window.features.row_fingerprint == oracle.of_rows(shown)


def test_rows_of_failed_calls_are_covered():
    """Rows whose prediction failed are part of the data, as they are of the cells."""

    def fail(row):
        raise LookupError

    reference = Reference.fit(columns_of(ROWS), model="delays")
    with fly() as flight:
        predict = flight.observe("delays", reference=reference)(fail)
        for row in ROWS:
            with pytest.raises(LookupError):
                predict(row)
        (window,) = flight.windows()
    assert window.features.row_fingerprint == oracle.of_rows(columns_of(ROWS))
    assert window.is_fingerprinted


@pytest.mark.parametrize(
    ("changes", "is_covered"),
    [
        ({}, True),
        ({"fingerprint_definition": ""}, False),
        ({"fingerprinted_rows": 3}, False),
        ({"rows": 5}, False),
        ({"features": None}, False),
    ],
    ids=["whole", "older definition", "sampled", "features lost", "no features"],
)
def test_a_window_says_whether_its_fingerprints_cover_it(changes, is_covered):
    """They do only if every row was hashed by the present definition."""
    changes = dict(changes)
    reference = make_reference([make_feature("wind", (1, 3, 0, 0, 0, 0), bounds=(1.0, 2.0))])
    features = make_features(reference, {"wind": (1, 3, 0, 0, 0, 0)})
    rows = changes.pop("rows", 4)
    held = changes.pop("features", features)
    if held is not None:
        fields = {"fingerprinted_rows": 4, "fingerprint_definition": DEFINITION} | changes
        held = dataclasses.replace(features, **fields)
    window = dataclasses.replace(make_window(), rows=rows, features=held)
    assert window.is_fingerprinted is is_covered
