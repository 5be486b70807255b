"""Fingerprints of numbers, texts and rows: their definition, and what changes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from radiosonde.model.fingerprints import CHUNK_ROWS, factors, fingerprints, hash_rows, mix, number_words, text_word
from tests import fingerprint_oracle as oracle

numbers = st.one_of(
    st.floats(),
    st.integers(-(2**53), 2**53).map(float),
    st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 0.1]),
)
tables = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.lists(numbers, min_size=width, max_size=width), min_size=1, max_size=20)
)


def columns_and_rows(block: np.ndarray) -> tuple[list[int], int]:
    """Return the fingerprint of each column, and of the rows."""
    words = number_words(np.array(block.T, order="C"))
    hashes = hash_rows(words, factors(names_of(block)))
    return np.add.reduce(words, axis=1).tolist(), int(np.add.reduce(hashes))


def names_of(block: np.ndarray) -> list[str]:
    """Return a name per column."""
    return [f"feature {place}" for place in range(block.shape[1])]


@pytest.mark.parametrize(
    ("state", "output"),
    [(0, 0xE220A8397B1DCDAF), (1, 0x910A2DEC89025CC1), (1234567, 0x599ED017FB08FC85)],
    ids=["zero", "one", "1234567"],
)
def test_the_mix_is_splitmix64(state, output):
    """The published generator gives these numbers first for these seeds."""
    words = np.array([state], dtype=np.uint64)
    mix(words, np.empty_like(words))
    assert words.tolist() == [output]


@given(tables)
def test_columns_and_rows_are_hashed_as_the_definition_says(rows):
    """Vectorised hashes equal those of the definition, one value at a time in integers of any size."""
    block = np.array(rows, dtype=np.float64)
    table = dict(zip(names_of(block), block.T.tolist(), strict=True))
    columns, row = columns_and_rows(block)
    assert columns == [oracle.of_column(values) for values in table.values()] == fingerprints(block).tolist()
    assert row == oracle.of_rows(table)


@given(
    st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
        st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{0,17})?", fullmatch=True),
        st.integers().map(str),
        st.floats().map(repr),
    )
)
def test_a_text_that_is_a_number_is_that_number(text):
    """Texts of numbers have the word of the number, all others that of their SHA-256."""
    assert text_word(text) == oracle.word(text)


@pytest.mark.parametrize("text", ["1", "-7", "0.5", "-12.25", "123456789012345678", "0.123456789", "999999999999.125"])
def test_usual_texts_of_numbers_are_numbers(text):
    """They are the category of a number in one place, and the number in another."""
    assert text_word(text) == oracle.word(float(text))


@pytest.mark.parametrize(
    "text", ["", "-", ".", "01", "1.0", "-0", "+1", "1e5", " 1", "1_000", "nan", "inf", "\u0661", "1.", ".5", "0x1",
             "1234567890123456789", "0.1234567890123456"],
)  # fmt: skip
def test_other_texts_are_texts(text):
    """What is not written as a number usually is, is a text: two ways to write a number are two categories."""
    assert text_word(text) == oracle.word(text)
    assert not oracle.is_number_text(text)


@given(tables, st.randoms(), st.integers(0, 20))
def test_order_and_splits_do_not_change_fingerprints(rows, random, cut):
    """Rows in any order, hashed in two parts that are added, have the fingerprints of the whole."""
    block = np.array(rows, dtype=np.float64)
    shuffled = np.array(random.sample(rows, len(rows)), dtype=np.float64)
    columns, row = columns_and_rows(block)
    first, second = columns_and_rows(shuffled[:cut]), columns_and_rows(shuffled[cut:])
    assert [(a + b) % oracle.WORD for a, b in zip(first[0], second[0], strict=True)] == columns
    assert (first[1] + second[1]) % oracle.WORD == row


@given(tables, st.data())
def test_a_changed_cell_changes_its_column_and_the_rows(rows, data):
    """One cell with another value changes the fingerprint of its column, that of the rows, and no other column's."""
    block = np.array(rows, dtype=np.float64)
    place = data.draw(st.integers(0, block.shape[0] - 1)), data.draw(st.integers(0, block.shape[1] - 1))
    changed = block.copy()
    changed[place] = data.draw(numbers.filter(lambda value: oracle.word(value) != oracle.word(float(block[place]))))
    (columns, row), (other, other_row) = columns_and_rows(block), columns_and_rows(changed)
    assert [a != b for a, b in zip(columns, other, strict=True)] == [
        column == place[1] for column in range(len(columns))
    ]
    assert row != other_row


@given(tables, st.data())
def test_an_exchange_of_values_between_rows_changes_the_rows_alone(rows, data):
    """Two rows that exchange different values in one of several columns keep each column's fingerprint, and change the row fingerprint."""
    block = np.array([[*row, float(number)] for number, row in enumerate(rows)], dtype=np.float64)  # no two rows alike
    column = data.draw(st.integers(0, block.shape[1] - 2))
    first, second = data.draw(st.tuples(*[st.integers(0, len(block) - 1)] * 2))
    changed = block.copy()
    changed[[first, second], column] = block[[second, first], column]
    is_same = oracle.word(float(block[first, column])) == oracle.word(float(block[second, column]))
    (columns, row), (other, other_row) = columns_and_rows(block), columns_and_rows(changed)
    assert columns == other
    assert (row == other_row) is is_same


@given(tables, st.data())
def test_a_dropped_or_doubled_row_changes_everything(rows, data):
    """Without one row, or with one twice, each column and the rows have another fingerprint."""
    block = np.array(rows, dtype=np.float64)
    place = data.draw(st.integers(0, len(block) - 1))
    columns, row = columns_and_rows(block)
    for changed in (np.delete(block, place, axis=0), np.concatenate([block, block[[place]]])):
        other, other_row = columns_and_rows(changed)
        assert all(a != b for a, b in zip(columns, other, strict=True))
        assert row != other_row


def test_columns_of_the_same_values_have_the_same_fingerprint_but_another_part_in_the_row():
    """An exchange of two columns is recognised by their fingerprints, and changes that of the rows."""
    block = np.random.default_rng(3).normal(size=(50, 2))
    columns, row = columns_and_rows(block)
    other, other_row = columns_and_rows(block[:, ::-1])
    assert other == columns[::-1]
    assert other_row != row


def test_all_nans_are_one_value_and_both_zeros_one():
    """The sign of zero and the payload of NaN do not enter."""
    odd_nan = np.array([0xFFF8_0000_0000_1234], dtype=np.uint64).view(np.float64)[0]
    assert fingerprints(np.array([[np.nan, 0.0]])).tolist() == fingerprints(np.array([[odd_nan, -0.0]])).tolist()
    assert fingerprints(np.empty((0, 3))).tolist() == [0, 0, 0]


@pytest.mark.parametrize("rows", [CHUNK_ROWS - 1, CHUNK_ROWS, 2 * CHUNK_ROWS + 1])
def test_blocks_longer_than_a_chunk_are_hashed_whole(rows):
    """Each row is hashed once, and the caller's values stay as they were, in a column-major block too."""
    block = np.asfortranarray(np.random.default_rng(4).normal(size=(rows, 2)))
    before = block.copy()
    assert fingerprints(block).tolist() == [oracle.of_column(column) for column in block.T.tolist()]
    assert (block == before).all()
