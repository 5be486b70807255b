"""Test the telemetry of your code: `fly` gives a test a separate pipeline, and hides no error.

Run it, or point pytest at it: `pytest examples/10_test_your_model.py`.
"""

import pytest

from radiosonde.testing import fly


def serve(rs):
    """Return the function under test, observed by the given Radiosonde."""

    @rs.observe("delays", version="2", classes=["on time", "late"])
    def predict(row):
        with rs.stage("score"):
            return [0.2, 0.8] if row["wind"] > 20 else [0.9, 0.1]

    return predict


def test_the_answer_is_counted():
    with fly() as rs:
        assert serve(rs)({"wind": 25.0}) == [0.2, 0.8]
        (window,) = rs.windows()
    assert dict(zip(window.output.classes, window.output.class_counts, strict=True)) == {"on time": 0, "late": 1}
    assert window.latency.phases == ("score",)


def test_a_failure_is_counted_and_raised():
    with fly() as rs:
        with pytest.raises(TypeError):
            serve(rs)({"wind": "strong"})
        (window,) = rs.windows()
    assert window.errors == {"TypeError": 1}


def test_nothing_is_lost():
    with fly() as rs:
        serve(rs)({"wind": 5.0})
        assert not any(rs.losses().values())


if __name__ == "__main__":
    raise SystemExit(pytest.main(["-q", "-p", "no:cacheprovider", __file__]))
