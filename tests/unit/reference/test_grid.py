from __future__ import annotations

import numpy as np
import pytest

from radiosonde.reference import FeatureProfile, grid_id
from radiosonde.reference.grid import ReferenceGrid

WIND = FeatureProfile("wind", "numeric", 0.0, (1.0, 2.0), (), (), ())
CARRIER = FeatureProfile("carrier", "categorical", 0.0, (), ("UA", "AA", "B6"), (), ())


def test_a_grid_knows_its_geometry():
    """Names, kinds, codes and widths come from the profiles; the widest feature sets the body."""
    grid = ReferenceGrid([WIND, CARRIER])
    assert (grid.names, grid.kinds) == (("wind", "carrier"), ("numeric", "categorical"))
    assert (grid.body, grid.width) == (3, 7)
    assert grid.codes == (None, {"UA": 0, "AA": 1, "B6": 2})


def test_each_kind_of_value_has_its_cell():
    """Body, below, above, null and unseen of both kinds, counted once each."""
    nan, inf = float("nan"), float("inf")
    rows = [(0.0, 0), (1.0, 1), (1.5, 2), (2.0, 3), (-0.1, -1), (2.1, 99), (nan, nan), (inf, inf), (-inf, -inf)]
    counts = ReferenceGrid([WIND, CARRIER]).count(np.array(rows))
    assert counts.tolist() == [[2, 2, 0, 1, 1, 1, 2], [1, 1, 1, 0, 0, 1, 5]]


def test_grid_id_changes_with_every_part_of_the_geometry_and_with_nothing_else():
    """Names, order, kinds, edges and categories enter; counts and shares do not."""
    changed = [
        [CARRIER, WIND],
        [WIND],
        [FeatureProfile("gust", "numeric", 0.0, (1.0, 2.0), (), (), ()), CARRIER],
        [FeatureProfile("wind", "numeric", -1.0, (1.0, 2.0), (), (), ()), CARRIER],
        [FeatureProfile("wind", "numeric", 0.0, (1.0, 2.5), (), (), ()), CARRIER],
        [WIND, FeatureProfile("carrier", "categorical", 0.0, (), ("AA", "UA", "B6"), (), ())],
    ]
    assert len({grid_id(features) for features in ([WIND, CARRIER], *changed)}) == 7
    counted = FeatureProfile("wind", "numeric", 0.0, (1.0, 2.0), (), (5, 5, 0, 0, 0, 0), (0.5,) * 6)
    assert grid_id([counted, CARRIER]) == grid_id([WIND, CARRIER]) == ReferenceGrid([WIND, CARRIER]).id


@pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 3)])
def test_a_block_of_another_width_is_refused(shape):
    """Neither counting nor assigning guesses at columns."""
    with pytest.raises(ValueError, match=r"does not fit 2 features"):
        ReferenceGrid([WIND, CARRIER]).count(np.zeros(shape))
    with pytest.raises(ValueError, match=r"does not fit 2 features"):
        ReferenceGrid([WIND, CARRIER]).assign(np.zeros(shape))


def test_a_feature_of_hundreds_of_cells_is_counted_right():
    """Codes beyond one byte keep their cell."""
    wide = FeatureProfile("x", "numeric", 0.0, tuple(float(bound) for bound in range(300)), (), (), ())
    assert ReferenceGrid([wide]).assign(np.array([[0.0], [299.0], [299.5], [-1.0], [np.nan]])).tolist() == [
        [0],
        [299],
        [301],
        [300],
        [302],
    ]


def test_ordinals_name_a_cell_in_one_byte():
    """Body cells count from 0, special cells from 252, for any width; more cells than a byte can number are unknown."""
    grid = ReferenceGrid(
        [
            FeatureProfile("wind", "numeric", 0.0, (1.0, 2.0), (), (), ()),
            FeatureProfile("carrier", "categorical", 0.0, (), ("UA",), (), ()),
        ]
    )
    rows = np.array([[0.5, 0.0], [2.0, 1.0], [-1.0, np.nan], [3.0, 0.0], [np.nan, 0.0], [np.inf, 0.0]])
    assert grid.ordinals(rows).tolist() == [[0, 0], [1, 255], [252, 254], [253, 0], [254, 0], [255, 0]]
    wide = ReferenceGrid([FeatureProfile("wind", "numeric", 0.0, tuple(map(float, range(1, 254))), (), (), ())])
    assert wide.ordinals(np.zeros((3, 1))).shape == (3, 0)
