"""The newest predictions can be found by the end of their id; the rest is unknown."""

from __future__ import annotations

import numpy as np

from radiosonde._join import Pending
from radiosonde._ring.layout import HEADER


def headers(indices, event_ns=0):
    """Return headers whose start says which record they are."""
    made = np.zeros(len(indices), dtype=HEADER)
    made["start_ns"] = [1000 + index for index in indices]
    made["event_ns"], made["confidence"], made["score"] = event_ns, 0.5, 2.5
    made["class_code"], made["series"] = 3, 4
    return made


def add(pending, *indices, event_ns=0):
    """Add records by their indices."""
    pending.add(np.array(indices, dtype=np.int64), headers(indices, event_ns))


def test_a_prediction_is_found_with_all_that_its_label_needs():
    """Event time, series, class, confidence and score come back; without event time the start stands for it."""
    pending = Pending()
    add(pending, 7, event_ns=55)
    add(pending, 8)
    assert pending.find(7, 1007) == (55, 4, 3, 0.5, 2.5, True)
    assert pending.find(8, 1008).event_ns == 1008


def test_only_the_exact_prediction_is_found():
    """Another start, another index and an empty place are unknown."""
    pending = Pending()
    add(pending, 7)
    assert pending.find(7, 1008) is None
    assert pending.find(6, 1007) is None
    assert pending.find(7 + 1024, 1007) is None


def test_a_marked_prediction_has_had_its_label():
    """Finding does not use up a prediction, marking does."""
    pending = Pending()
    add(pending, 7)
    assert pending.find(7, 1007).is_first
    assert pending.find(7, 1007).is_first
    pending.mark(7)
    assert not pending.find(7, 1007).is_first


def test_the_arrays_grow_to_the_capacity_and_keep_what_they_had():
    """Up to the capacity nothing is forgotten, marks included; beyond it the oldest is."""
    pending = Pending(capacity=4096)
    for index in range(0, 4096, 64):
        add(pending, *range(index, index + 64))
        if index == 0:
            pending.mark(5)
    assert all(pending.find(index, 1000 + index) is not None for index in range(4096))
    assert not pending.find(5, 1005).is_first
    add(pending, 4096, 4097)
    assert pending.find(0, 1000) is None
    assert pending.find(1, 1001) is None
    assert pending.find(2, 1002) is not None
    assert pending.find(4096, 5096).is_first


def test_a_straggler_does_not_disturb_newer_ones():
    """A record that ends late is added behind later ones and found like them."""
    pending = Pending(capacity=4096)
    add(pending, 2000)
    add(pending, 3)
    assert pending.find(2000, 3000) is not None
    assert pending.find(3, 1003) is not None


def test_indices_beyond_32_bits_are_found_by_their_low_half():
    """An id holds 32 bits of the index; the start tells two that share them apart."""
    pending = Pending(capacity=1024)
    index = (5 << 32) + 17
    made = headers([17])
    pending.add(np.array([index], dtype=np.int64), made)
    assert pending.find(17, 1017) is not None
    assert pending.find(17, 1018) is None


def test_nothing_is_added_for_nothing():
    """An empty slice changes nothing."""
    pending = Pending()
    add(pending)
    assert pending.find(0, 1000) is None
