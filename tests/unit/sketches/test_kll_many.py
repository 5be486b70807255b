"""Values of many sketches, read together."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde.errors import MergeError
from radiosonde.sketches import KllSketch
from radiosonde.sketches.kll import retained, retained_of_many


def sketch_of(values) -> bytes:
    """Return the bytes of a sketch of *values*."""
    sketch = KllSketch()
    sketch.update(np.asarray(values, dtype=np.float64))
    return sketch.to_bytes()


def test_many_sketches_give_the_values_of_each():
    """Empty, single, exact and compacted sketches, alike or not, give what each gives by itself."""
    rng = np.random.default_rng(5)
    sizes = [0, 1, 1, 2, 100, 100, 100, 101, 200, 5000, 5000, 70_000, 0]
    bodies = [sketch_of(rng.normal(size=size)) for size in sizes]
    found = {index: (row, weights) for members, table, weights in retained_of_many(bodies)
             for index, row in zip(members, table, strict=True)}  # fmt: skip
    assert sorted(found) == list(range(len(bodies)))
    for index, body in enumerate(bodies):
        for left, right in zip(found[index], retained(body), strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "middle", "last"])
@pytest.mark.parametrize("damage", [b"", b"no sketch", "nan", "cut"], ids=["empty", "foreign", "not-finite", "cut"])
def test_a_damaged_sketch_among_many_is_refused(damage, place):
    """A sketch that cannot be read raises wherever it stands, also among those that are laid out like it."""
    bodies = [sketch_of(np.arange(50.0) + shift) for shift in range(3)]
    if damage == "nan":
        bodies[place] = bodies[place][:-8] + np.float64(np.nan).tobytes()
    else:
        bodies[place] = bodies[place][:-3] if damage == "cut" else damage
    with pytest.raises(MergeError):
        list(retained_of_many(bodies))
