"""A version is only called unaffected when it had the chance to be affected."""

from __future__ import annotations

import numpy as np
import pytest

from radiosonde.diagnose.version_scope import VersionScope, judge_versions, scope_words


@pytest.mark.parametrize(
    ("rises", "trials", "versions", "untested"),
    [
        ([0.87, 0.86], [9000, 1000], (), ()),  # both
        ([0.0, 0.86], [9000, 1000], (1,), ()),  # one, and the other is known to be spared
        ([0.0, 0.86], [0, 1000], (), (0,)),  # retired before
        ([0.0, 0.86], [8, 1000], (), (0,)),  # hardly any row
        ([0.0, 0.86, 0.0], [8, 1000, 5000], (1,), (0,)),  # one spared, one unknown
        ([0.0, 0.03], [200, 9000], (), (0,)),  # 6 hits expected: none may be chance
        ([0.0, 0.03], [2000, 9000], (1,), ()),
        ([1.0, 0.1], [1, 9000], (), ()),  # one odd row of a version does not set the scale
    ],
)
def test_only_these_versions_needs_rows_of_the_others(rises, trials, versions, untested):
    """Affected, spared and unknown are distinguished by the rows since the onset."""
    assert judge_versions(np.array(rises), np.array(trials, dtype=np.float64)) == (versions, untested)


@pytest.mark.parametrize(
    ("versions", "untested", "words"),
    [
        ((), (), "All versions alike: upstream of the model."),
        ((1,), (), "Only version b is affected: its own preprocessing."),
        ((1,), (0,), "Version b is affected, version c is not; version a has too few rows since the onset to decide."),
        ((), (0,), "Version b, c is affected; version a has too few rows since the onset to decide."),
    ],
)
def test_the_sentence_claims_no_more_than_was_seen(versions, untested, words):
    """Only the affected, the spared and the unknown are named as what they are."""
    assert scope_words(("a", "b", "c"), VersionScope(versions, untested)) == words
