"""Rings that nobody can write into any more are let go, with their descriptors, mappings and files; their counts stay."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from radiosonde.testing import fly

ROW = np.zeros((1, 3))


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def made_anew(rs, version):
    """Return a function that is decorated anew."""
    return rs.observe("m")(lambda features: "yes")


def with_a_version(rs, version):
    """Return a function of another version of the model."""
    return rs.observe("m", version=str(version))(lambda features: "yes")


def a_method(rs, version):
    """Return a method of a new object."""

    class Model:
        @rs.observe("m")
        def predict(self, features):
            return "yes"

    return Model().predict


def with_a_stage(rs, version):
    """Return a function that names a phase and is in a cohort."""

    @rs.observe("m")
    def predict(features):
        with rs.stage("look"):
            return "yes"

    return predict


@pytest.mark.parametrize("make", [made_anew, with_a_version, a_method, with_a_stage])
@pytest.mark.parametrize("spooled", [False, True])
def test_a_model_that_is_made_anew_leaves_nothing_behind(make, spooled, tmp_path: Path):
    """After forty models one after the other, one ring is there and no descriptor more than after four, and every call counts."""
    with fly(spool=str(tmp_path / "spool") if spooled else None) as rs:
        seen = []
        for version in range(40):
            make(rs, version)(ROW)
            gc.collect()
            rs.losses()
            if version in (3, 39):
                seen.append((descriptors(), len(rs.pipeline()._ring_consumers)))
        assert seen[0] == seen[1]
        assert seen[1][1] <= 2
        windows = rs.windows()
        assert sum(window.calls for window in windows) == 40
        assert (rs.statistics().records, rs.statistics().rows, rs.losses()) == (40, 40, {})
        if spooled:
            assert len(list((tmp_path / "spool").glob("*.ring"))) <= 2


def test_a_schema_that_is_learned_anew_lets_its_ring_go():
    """The ring of a reading that the first answer showed to be wrong goes, and its records are counted."""
    with fly() as rs:
        predict = rs.observe("m")(lambda features: ["a", "b", "a"])
        for _ in range(3):
            predict([1.0, 2.0, 3.0])
        for _ in range(2):  # its writer is held until it has been drained once
            rs.losses()
            gc.collect()
        rs.losses()
        assert len(rs.pipeline()._ring_consumers) == 1
        assert (rs.statistics().records, rs.statistics().rows) == (3, 9)


def test_a_function_that_is_kept_keeps_its_ring():
    """A model that pauses for long is not let go: its next call is counted."""
    with fly() as rs:
        predict = rs.observe("m")(lambda features: "yes")
        for _ in range(3):
            predict(ROW)
            gc.collect()
            rs.losses()
        assert len(rs.pipeline()._ring_consumers) == 1
        assert rs.windows()[0].calls == 3


def test_features_of_functions_that_are_gone_wait_for_their_reference():
    """A function decorated in every request does not make a reference of one row: the rows wait together."""
    with fly() as rs:
        for value in range(30):
            rs.observe("m")(lambda features: "yes")({"x": float(value)})
            gc.collect()
            rs.losses()
        snapshot = rs.pipeline().snapshot()
        (window,) = snapshot.windows
        assert window.features.cells.sum() == window.calls == 30
        assert snapshot.references["m", ""].rows == 30
