"""An id has one text, for any type."""

from __future__ import annotations

import decimal
import enum
import math
import uuid

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde.model import id_text

UUID = uuid.UUID("550e8400-e29b-41d4-a716-446655440000")


class Level(enum.IntEnum):
    """Ids that are numbers."""

    HIGH = 7


class Order(str, enum.Enum):  # noqa: UP042 -- whose ``str`` is not its text
    """Ids that are texts."""

    FIRST = "k-1"


class Session(enum.Enum):
    """Ids of another type."""

    ONE = UUID


class ObjectId:
    """An id of a database's own, like MongoDB's."""

    def __str__(self) -> str:
        return "507f1f77bcf86cd799439011"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("17", [17, 17.0, "17", " 17\n", "17.0", "17.00", b"17", np.int64(17), np.uint8(17), np.float32(17), np.array(17),
                np.str_("17"), np.bytes_(b"17"), decimal.Decimal("17.00"), pa.scalar(17), pa.scalar("17"), pd.Series([17, None])[0]]),
        (str(UUID), [UUID, str(UUID), str(UUID).upper(), f"{{{UUID}}}", UUID.urn, pa.scalar(str(UUID))]),
        (UUID.hex, [UUID.hex, UUID.hex.upper()]),
        ("7", [Level.HIGH, 7]),
        ("k-1", [Order.FIRST, "k-1"]),
        (str(UUID), [Session.ONE, UUID]),
        ("507f1f77bcf86cd799439011", [ObjectId(), "507f1f77bcf86cd799439011"]),
        ("a b", ["a b", " a b ", "\ta b\r\n", b" a b"]),
        ("\u00e9-1", ["\u00e9-1", "e\u0301-1", "\u00e9-1".encode()]),
        ("00123", ["00123", " 00123"]),
        ("1.10", ["1.10"]),
        ("1e5", ["1e5"]),
        ("00.0", ["00.0"]),
        ("-3", [-3, -3.0, "-3.0"]),
        (str(2**64 - 1), [2**64 - 1, np.uint64(2**64 - 1), decimal.Decimal(2**64 - 1)]),
    ],
)  # fmt: skip
def test_one_id_has_one_text(text, same):
    """Numbers of every library, UUIDs in every notation, text with white space around it or in another Unicode form."""
    assert {id_text(value) for value in same} == {text}


@pytest.mark.parametrize(
    "value",
    [None, "", " ", True, np.True_, 1.5, math.nan, math.inf, 2.0**53, 1 << 128, pd.NA, pd.NaT, np.datetime64("NaT"), [], [1], (1,),
     {}, np.array([1]), pd.Series([1]), object(), "a\0b", "\ud800", b"\xff", "x" * 257, ValueError("x"),
     decimal.Decimal("sNaN"), decimal.Decimal("1.5"), decimal.Decimal("1e60")],
)  # fmt: skip
def test_what_is_no_id(value):
    """Missing, not whole, too large to be exact, a container, or text that no store can write down."""
    assert id_text(value) is None


@given(st.text())
def test_the_text_of_a_text_is_itself(text):
    """Canonical once is canonical for good, so it does not matter in how many places an id is read."""
    canonical = id_text(text)
    if canonical is not None:
        assert id_text(canonical) == canonical
        canonical.encode()
