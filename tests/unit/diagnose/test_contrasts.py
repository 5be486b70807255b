"""Selection of the contrasts of cells."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from radiosonde.diagnose.cell_contrasts import make_contrasts
from radiosonde.diagnose.feature_panel import FeaturePanel
from radiosonde.reference import Reference


@pytest.mark.parametrize(("provisional", "unseen"), [(False, {"wind", "carrier"}), (True, {"wind"})])
def test_unseen_categories_of_a_provisional_reference_say_nothing(provisional, unseen):
    """Categories unseen by a provisional reference are not a signal; text among numbers is one."""
    reference = Reference.fit({"wind": np.arange(50.0), "carrier": ["UA", "AA"] * 25})
    panel = FeaturePanel(
        model="delays",
        axis=SimpleNamespace(size=1),
        names=("wind", "carrier"),
        profiles=reference.features,
        reference_rows=reference.rows,
        provisional=provisional,
        versions=("1",),
        cells=np.zeros((1, 1, 2, 14)),
        retained={},
        unreadable_sketches=0,
    )
    contrasts = make_contrasts(panel)
    assert {panel.names[each.feature] for each in contrasts if each.name == "unseen"} == unseen
    assert {panel.names[each.feature] for each in contrasts if each.name == "missing"} == {"wind", "carrier"}
