"""The last prediction of this context, read directly from its slot."""

from __future__ import annotations

from typing import Any

from radiosonde._record.token import CURRENT, INDEX, RECORDED
from radiosonde._ring.layout import INPUT_ROW
from radiosonde._ring.text_codes import code_of


def last_token() -> Any:
    """Return the token of the last prediction begun in this context."""
    token = CURRENT.get()
    assert token is not None, "nothing was recorded in this context"
    return token


def last_header() -> Any:
    """Return the header of the last prediction."""
    token = last_token()
    ring = token[0].ring
    return ring.headers[token[INDEX] & (ring.capacity - 1)]


def last_row() -> list[float] | None:
    """Return the feature row of the last prediction, None when no features were recorded."""
    token = last_token()
    ring, recorded = token[0].ring, token[RECORDED]
    if recorded.kind != INPUT_ROW:
        return None
    assert recorded.position == 0, "it was a batch"
    return ring.rows[token[INDEX] & (ring.capacity - 1)].tolist()


def last_texts() -> list[str | None]:
    """Return the texts of the last prediction's feature row, None for other values; of a model without a reference."""
    codes = (code_of(value) for value in last_row() or [])
    names = [[] if table is None else table.names for table in last_token()[0].schema.codes]
    return [names[place][code] if code >= 0 else None for place, code in enumerate(codes)]


def last_block() -> list[list[float]] | None:
    """Return the feature rows of the last batch, None when no features were recorded."""
    token = last_token()
    recorded = token[RECORDED]
    if recorded.kind != INPUT_ROW:
        return None
    assert recorded.position > 0, "it was a single row"
    writer = token[0]
    return writer.ring.arena.block(recorded.position - 1, recorded.kept, writer.schema.width).tolist()


def last_names() -> tuple[str, ...]:
    """Return the feature names of the writer that recorded the last prediction."""
    return tuple(last_token()[0].schema.names)
