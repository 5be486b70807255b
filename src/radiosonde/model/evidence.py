"""How many independent rows a sampled, weighted row is worth."""

from __future__ import annotations


def evidence_ratio(estimated_rows: int, weight_square_sum: int) -> float:
    """Return the factor by which counts have to be multiplied to get a number of independent rows, at most 1.

    Rows of weights *w* have an effective sample size of (sum w)**2 / (sum w**2) (Kish, "Survey Sampling", 1965), and the counts sum to (sum
    w), so the ratio is (sum w) / (sum w**2). With one step it is 1/step; for a window sampled 1-in-1 in its first half and 1-in-10 in its
    second it is less than the share of sampled rows.

    Args:
        estimated_rows: the sum of the weights, which equals the sum of the counts.
        weight_square_sum: the sum of their squares; 0 is unknown, and treated as weights of 1.
    """
    return min(1.0, estimated_rows / weight_square_sum) if weight_square_sum > 0 else 1.0
