from __future__ import annotations

import enum
import math
import pathlib
import unicodedata
import uuid
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde.model import LONGEST_NAME, checked_name, class_text, name_of, plain_text


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Size(str, enum.Enum):  # noqa: UP042 - StrEnum writes itself otherwise
    LARGE = "large"


class Level(enum.IntEnum):
    HIGH = 3


class Opaque(enum.Enum):
    ANY = (1, 2)


class Loud(str):
    __slots__ = ()

    def __str__(self):
        return "LOUD"


class Raising:
    def __str__(self):
        raise RuntimeError("no text for you")


class NotText:
    def __str__(self):
        return 7  # noqa: PLE0307 - the tested fault


class Plain:
    pass


class Reluctant:
    def __getattr__(self, name):
        raise ValueError(name)


def kind(value):
    """Name a parameter: pytest would ask the value itself."""
    return type(value).__name__


any_text = st.text(st.characters(exclude_categories=()), max_size=700)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("late", "late"), ("", ""), ("Größe 日本 😀 é", "Größe 日本 😀 é"), ("a\u200db", "a\u200db"),
        (7, "7"), (True, "True"), (1.5, "1.5"), (2.0, "2.0"), (math.nan, "nan"), (-math.inf, "-inf"), (None, "None"),
        (b"late", "late"), (bytearray(b"late"), "late"), (memoryview(b"late"), "late"),
        (np.int64(7), "7"), (np.float64(0.1), "0.1"), (np.float32(0.1), "0.1"), (np.bool_(True), "True"),
        (np.str_("late"), "late"), (np.bytes_(b"late"), "late"), (np.datetime64("2013-03-01"), "2013-03-01"),
        (Colour.RED, "red"), (Colour.BLUE, "2"), (Size.LARGE, "large"), (Level.HIGH, "3"), (Opaque.ANY, "Opaque.ANY"),
        (Loud("soft"), "soft"), (uuid.UUID(int=3), "00000000-0000-0000-0000-000000000003"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"), (date(2013, 3, 1), "2013-03-01"), (Decimal("1.10"), "1.10"),
        (("a", "b"), "('a', 'b')"), (ValueError, "builtins.ValueError"), (Plain(), "<Plain>"), (object(), "<object>"),
        (Raising(), "<unprintable Raising>"), (NotText(), "<unprintable NotText>"), (1 << 5000, "<integer of 5001 bits>"),
        ("\ud83d\ude00", "😀"),
    ],
    ids=kind,
)  # fmt: skip
def test_what_a_value_is_called(value, name):
    """Every kind of value has one text, which is not counted as changed."""
    assert checked_name(value) == (name, False)
    assert type(name_of(value)) is str


@pytest.mark.parametrize(
    ("value", "beginning"),
    [
        ("caf\udce9", "caf\ufffd~"), ("\ud800", "\ufffd~"), ("\ude00\ud83d", "\ufffd\ufffd~"), (b"caf\xe9", "caf\ufffd~"),
        ("a\nb\tc\r", "a\ufffdb\ufffdc\ufffd~"), ("\x1b[31mred", "\ufffd[31mred~"), ("nul\0", "nul\ufffd~"), ("\x9b2J", "\ufffd2J~"),
        ("\u202egpj.exe", "\ufffdgpj.exe~"), ("line\u2028two", "line\ufffdtwo~"), ("x" * 257, "x" * 247 + "~"),
        ("ä" * 10**6, "ä" * 247 + "~"), (["y" * 100] * 3000, "['yyyy"), (pathlib.PurePosixPath("/\udcff"), "/\ufffd~"),
        (np.str_("\ud800"), "\ufffd~"), (np.arange(200), "[  0   1   2"), (Loud("\x07"), "\ufffd~"),
    ],
    ids=kind,
)  # fmt: skip
def test_a_name_that_no_carrier_could_hold_is_changed(value, beginning):
    """Its bad characters are replaced, it is truncated, the end distinguishes it from others, and the change is reported."""
    name, is_changed = checked_name(value)
    assert is_changed
    assert name.startswith(beginning)
    assert len(name) <= LONGEST_NAME


@given(any_text)
def test_a_name_is_safe_whatever_the_text(text):
    """Valid UTF-8, bounded, without control characters; valid names are unchanged."""
    name = name_of(text)
    assert name.encode().decode() == name
    assert len(name) <= LONGEST_NAME
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in name)
    assert name_of(name) == name
    assert class_text(text) == name


@given(any_text, any_text)
def test_texts_that_differ_have_names_that_differ(one, other):
    """Also those that differ only in characters that are replaced or cut; a pair of surrogates is its character."""
    same = one.encode("utf-16", "surrogatepass") == other.encode("utf-16", "surrogatepass")
    assert (name_of(one) == name_of(other)) == same


@pytest.mark.parametrize("length", [300, 70_000, 200_000])
def test_long_texts_that_differ_at_their_end_or_length_have_names_that_differ(length):
    """Hashing uses both ends and the length, so its work is bounded."""
    names = {
        name_of("x" * length),
        name_of("x" * (length - 1) + "y"),
        name_of("x" * (length + 1)),
        name_of("y" + "x" * length),
    }
    assert len(names) == 4


@pytest.mark.parametrize("value", [Reluctant(), Raising(), Plain(), [Raising()], {"a": Reluctant()}], ids=kind)
def test_nothing_is_raised_whatever_an_object_does(value):
    """A value whose methods raise has a name, and text for people."""
    assert name_of(value)
    assert plain_text(value)


def test_text_for_people_is_cut_without_a_hash():
    """Of the length asked for, its control characters replaced."""
    assert plain_text("a\x1b" + "b" * 10, 5) == "a\ufffdbbb"
