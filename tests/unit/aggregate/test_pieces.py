"""What waits for a provisional reference is counted for a snapshot by the piece."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from radiosonde._aggregate.provisional import PIECE_BYTES, Part, pieces


@pytest.mark.parametrize("sizes", [[1], [1] * 3000, [512] * 40, [4096, 1, 4096], [8192, 8192]])
@pytest.mark.parametrize("width", [1, 30, 100])
def test_the_pieces_are_the_rows(sizes: list[int], width: int) -> None:
    """All rows come once, in their order; no piece is larger than the bound."""
    rows = np.arange(float(sum(sizes) * width)).reshape(-1, width)
    ends = np.cumsum(sizes)
    members = [
        Part(**{**dict.fromkeys(Part._fields), "stream": SimpleNamespace(), "rows": rows[end - size : end]})
        for size, end in zip(sizes, ends.tolist(), strict=True)
    ]
    found = list(pieces(members))
    assert np.array_equal(np.concatenate(found), rows)
    assert max(piece.nbytes for piece in found) <= PIECE_BYTES
