"""Common code of the plug-ins for boosting libraries, without any of the libraries."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from radiosonde_integrations import _boosters
from radiosonde_integrations._methods import Description, Method
from radiosonde_integrations._observing import OBSERVERS, observed_method
from tests.unit.integrations.boosting import General, flying

ROWS = np.array([[1.0, 0.0], [0.0, 2.0]])


class Model:
    """A model of a library with a plug-in of its own."""

    def predict(self, rows, raw=False):
        """Return a number a row."""
        return np.ones(len(rows))


MARGIN = Method("margin", lambda _: Description("margin"))
NATIVE = Method(
    "predict",
    lambda _: Description("native"),
    choose=lambda args, keywords: {None: NATIVE, "margin": MARGIN}.get(keywords.get("raw")),
    is_native=True,
)


class Native(General):
    """The library's own plug-in."""

    def instrument(self):
        """Patch now."""
        super().instrument()
        self.patches.restore()
        for owner in self.owners:
            self.patches.replace(owner, "predict", observed_method(NATIVE))
        OBSERVERS.look_again()


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(("raw", "calls"), [(None, {"native": 1}), ("margin", {"margin": 1}), ("leaves", {})])
def test_a_call_is_read_as_the_native_plug_in_says(monkeypatch, order, raw, calls):
    """Whichever replacement lies outermost, the library's own plug-in says what the call is, or that it is none."""
    with flying(monkeypatch, *[Native(Model), General(Model)][::order]) as rs:
        Model().predict(ROWS, raw=raw)
        assert {window.key.model: window.calls for window in rs.windows()} == calls


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (np.array([0.0, 2.0]), [0, 2]),
        (np.array([0.5, 2.0]), ["0.5", "2.0"]),
        (np.array([[1], [0]]), [1, 0]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array(["a", None], dtype=object), ["a", None]),
        (np.float64(1.0), 1),
    ],
)
def test_labels_are_no_numbers(result, expected):
    """A label that is a float does not look like a probability."""
    assert np.asarray(_boosters.as_labels(result)).tolist() == expected


def test_several_answers_a_row_are_not_read():
    """No table takes two labels or two values a row; one in a column is one."""
    assert _boosters.as_labels(np.ones((2, 2))) is None
    assert _boosters.as_values(np.ones((2, 2))) is None
    assert np.shape(_boosters.as_values(np.ones((2, 1)))) == (2, 1)


def test_classes_are_named_as_their_predictions_are():
    """Whole numbers have no point, for any type."""
    assert _boosters.class_names(np.array([0.0, 1.0])) == ("0", "1")
    assert _boosters.class_names(["b", "a"]) == ("b", "a")
    assert _boosters.class_names([0.5, 1.0]) == ("0.5", "1")


def test_absent_cells_are_what_the_library_takes_them_for(monkeypatch):
    """A sparse matrix is read up to a bound; beyond it its rows still count."""
    np.testing.assert_array_equal(_boosters.dense(csr_matrix(ROWS), np.nan), [[1.0, np.nan], [np.nan, 2.0]])
    monkeypatch.setattr(_boosters, "LARGEST_COPY", 3)
    assert np.shape(_boosters.dense(csr_matrix(ROWS), 0.0)) == (2, 0)


def test_a_version_is_worked_out_once_and_lets_the_model_go():
    """The digest is computed at its first use; until then the model is kept alive, and no longer."""
    model, asked = Model(), []
    gone = weakref.ref(model)
    version = _boosters.later_version(model, model, lambda booster: asked.append(id(booster)) or "params-1")
    del model
    assert (gone() is None, asked) == (False, [])
    assert (version(), version(), len(asked)) == ("params-1", "params-1", 1)
    gc.collect()
    assert gone() is None
