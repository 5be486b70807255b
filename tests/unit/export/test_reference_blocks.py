"""Exported parts of a reference: the meaning of cells, and the shares of the output."""

from __future__ import annotations

from dataclasses import replace

import pytest

from radiosonde.export.builder import BlockBuilder
from radiosonde.export.exposition import render
from radiosonde.export.reference_blocks import cell_meanings
from radiosonde.model import SeriesKey
from tests.factories import make_feature, make_output, make_reference, make_snapshot, make_window


def exposition(references, *windows, max_series: int = 10_000, builder=None) -> str:
    """Return a page."""
    snapshot = make_snapshot(*windows, references=references)
    return render((builder or BlockBuilder(max_series)).build(snapshot), openmetrics=False).decode()


def values(page: str, family: str, label: str) -> dict[str, str]:
    """Return the values of a family by one label."""
    lines = [line for line in page.splitlines() if line.startswith(f"{family}{{")]
    return {line.split(f'{label}="')[1].split('"')[0]: line.rsplit(" ", 1)[1] for line in lines}


@pytest.mark.parametrize(
    ("feature", "meanings"),
    [
        (
            make_feature("wind", (1, 1, 1, 0, 0, 0, 0), bounds=(0.1, 2.5, 1e9)),
            ["[0, 0.1]", "(0.1, 2.5]", "(2.5, 1e+09]", "below 0", "above 1e+09", "null", "unseen"],
        ),
        (make_feature("one", (9, 0, 0, 0, 0), bounds=(0.0,)), ["[0, 0]", "below 0", "above 0", "null", "unseen"]),
        (make_feature("none", (0, 3, 4, 0)), ["below", "any number", "null", "unseen"]),
        (make_feature("carrier", (5, 4, 0, 0), categories=("UA", 'a"b')), ["UA", 'a"b', "null", "unseen"]),
    ],
)
def test_each_cell_has_its_meaning(feature, meanings):
    """Bins by their bounds, categories by their name, the special cells by theirs."""
    assert [meaning for _, meaning in cell_meanings(feature)] == meanings
    page = exposition({("delays", "1"): make_reference([feature])})
    assert list(values(page, "radiosonde_feature_reference_info", "radiosonde_feature_cell").values()) == ["1"] * len(
        meanings
    )
    assert (
        values(page, "radiosonde_feature_reference_info", "radiosonde_feature_cell").keys()
        == values(page, "radiosonde_feature_cell_total", "radiosonde_feature_cell").keys()
    )


def test_features_with_personal_data_say_nothing():
    """No bound and no category of a feature marked so leaves the process; the other features still have theirs."""
    secret = replace(make_feature("name", (5, 4, 0, 0), categories=("Ann", "Bob")), pii=True)
    page = exposition({("delays", "1"): make_reference([secret, make_feature("wind", (1, 1, 0, 0, 0, 0))])})
    assert "Ann" not in page
    info = [line for line in page.splitlines() if line.startswith("radiosonde_feature_reference_info{")]
    assert {line.split('feature_name="')[1].split('"')[0] for line in info} == {"wind"}


def test_the_output_of_the_reference_is_exported():
    """Smoothed shares of predicted classes and confidence bins; priors of labels as they are."""
    scores = ((0,) * 18 + (3, 1), (0,) * 18 + (0, 4))
    reference = make_reference(
        classes=("no", "yes"), priors=(0.75, 0.25), predicted_counts=(6, 2), score_label_counts=scores
    )
    page = exposition({("delays", "1"): reference})
    classes = values(page, "radiosonde_output_reference_class_ratio", "radiosonde_prediction_class")
    assert {name: float(share) for name, share in classes.items()} == {"no": 6.5 / 9, "yes": 2.5 / 9}
    assert values(page, "radiosonde_output_reference_label_ratio", "radiosonde_label_class") == {
        "no": "0.75",
        "yes": "0.25",
    }
    bins = values(page, "radiosonde_output_reference_confidence_ratio", "radiosonde_confidence_bin")
    assert [float(bins[place]) for place in ("00", "18", "19")] == [0.5 / 18, 3.5 / 18, 5.5 / 18]
    assert sum(map(float, bins.values())) == pytest.approx(1.0)


def test_a_reference_without_output_exports_none():
    """Nor do a thousand classes: a backend would be asked for more series than the model has features."""
    many = make_reference(classes=tuple(f"c{index}" for index in range(1000)), predicted_counts=(1,) * 1000)
    for reference in (make_reference(), many):
        assert "radiosonde_output_reference" not in exposition({("delays", "1"): reference})


def test_what_is_for_people_is_cut_first():
    """Where series are bounded, counts keep their room, and meanings are left out and counted."""
    references = {("delays", "1"): make_reference()}
    window = make_window(output=make_output([("yes", 0.9)]))
    whole = exposition(references, window)
    series = sum(not line.startswith("#") for line in whole.splitlines())
    less = exposition(references, window, max_series=series - 1)
    gone = set(values(whole, "radiosonde_feature_reference_info", "radiosonde_feature_name"))
    left = set(values(less, "radiosonde_feature_reference_info", "radiosonde_feature_name"))
    assert (gone - left, values(less, "radiosonde_feature_cell_total", "radiosonde_feature_name").keys()) == (
        {"carrier"},
        gone,
    )
    assert "radiosonde_sdk_cut 4" in less


def test_a_new_reference_replaces_the_lines_that_were_kept():
    """Constant values are encoded once, and again when they change."""
    builder = BlockBuilder()
    first = make_reference(classes=("no", "yes"), predicted_counts=(6, 2), priors=(0.5, 0.5))
    second = replace(first, output=replace(first.output, predicted_counts=(2, 6)))
    pages = [exposition({("delays", "1"): each}, builder=builder) for each in (first, first, second)]
    assert pages[0] == pages[1]
    shares = values(pages[2], "radiosonde_output_reference_class_ratio", "radiosonde_prediction_class")
    assert {name: float(share) for name, share in shares.items()} == {"no": 2.5 / 9, "yes": 6.5 / 9}


@pytest.mark.parametrize(
    ("cohort", "labels"),
    [
        ("", {}),
        ("carrier=UA", {"carrier": "UA"}),
        ("carrier=UA,plan=pro%2Cfree", {"carrier": "UA", "plan": "pro,free"}),
        ("a-b=1,a_b=2", {"a_b": "1"}),
        ("größe=x", {"gr__e": "x"}),
        ("europe", {}),
        ("__overflow__", {}),
        (
            ",".join(f"d{index}={index}" for index in range(12)),
            {f"d{index}": str(index) for index in (0, 1, 10, 11, 2, 3, 4, 5)},
        ),
    ],
)
def test_each_dimension_of_a_cohort_is_a_label(cohort, labels):
    """Beside the packed text, which has all of them; names fit for a label, no label twice, eight at most."""
    if "d0" in cohort:
        cohort = ",".join(sorted(cohort.split(",")))
    page = exposition({}, make_window(SeriesKey("delays", "1", "stable", cohort)))
    (line,) = (line for line in page.splitlines() if line.startswith("radiosonde_prediction_calls_total{"))
    found = dict(
        pair.split("=", 1) for pair in line.split("{")[1].split("}")[0].split('",') if "radiosonde_cohort" in pair
    )
    assert {
        name.removeprefix("radiosonde_cohort_"): text.strip('"')
        for name, text in found.items()
        if name != "radiosonde_cohort"
    } == labels
