"""Bounds of what is read of a batch in the thread of its caller, with the time that each takes (``docs/limits.md``)."""

from __future__ import annotations

SLOW_VALUES = 131_072
"""Largest number of values of a batch read one by one: 10 to 20 ms. Larger batches are sampled 1-in-n and weighted by n."""

WIDE_VALUES = 1 << 21
"""Values of a batch of wide rows that are summarised: 10 ms. Of larger ones a sample of rows is kept."""

TEXT_ROWS = 2048
"""Texts of a batch that are summarised: 20 ms. Of larger ones a sample is kept."""

ROW_VALUES = 12
"""Number of values with the same cost as the fixed part of one row, which is a Python object that is inspected."""

SERIES_VALUES = 200
"""The same for a row that is a pandas Series, whose labels are inspected too: 25 us."""

PIECE_ROWS = 8192
"""Rows of a table that are read at a time: the texts of all of them would take more than 8 MiB."""
