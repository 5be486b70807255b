"""Base-2 exponential buckets of fixed geometry for latencies and label lags, so that any two tables add up cell by cell.

Latency: scale 3 is a growth of 2**(1/8) = 1.09 per bucket: a quantile read from the table is off by at most 4.5 % (half a
bucket, geometrically). The range is 2**-20 s (0.95 us) to 2**10 s (17 min), 240 buckets; shorter and longer durations are counted in the
first and last one. Bucket *i* is ``(2**((i+OFFSET)/8), 2**((i+1+OFFSET)/8)]`` seconds, which is
OpenTelemetry's ExponentialHistogram mapping at scale 3 with offset -160.

Label lag: scale 2 is a growth of 2**(1/4) = 1.19 per bucket, from 1 s to 2**25 s (388 days), 100 buckets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ExponentialBuckets:
    """Geometry of a table of durations.

    Attributes:
        scale: OpenTelemetry exponential-histogram scale; growth is ``2 ** (2 ** -scale)``.
        offset: index of the first bucket in OpenTelemetry's numbering.
        size: number of buckets.
    """

    scale: int = 3
    offset: int = -160
    size: int = 240

    def index(self, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the bucket of each duration; durations outside the range, zero and below go to the end buckets."""
        # frexp keeps powers of two exact: log2 of the mantissa of 2**k is -1 exactly, so upper bounds stay inclusive.
        mantissa, exponent = np.frexp(np.maximum(seconds, 1e-12))
        steps = np.ceil(np.log2(mantissa) * (1 << self.scale)).astype(np.int64) - 1
        index = steps + (exponent.astype(np.int64) << self.scale) - self.offset
        clipped: NDArray[np.int64] = np.clip(index, 0, self.size - 1)
        return clipped

    def upper_bounds_s(self) -> NDArray[np.float64]:
        """Return the inclusive upper bound of every bucket in seconds, shape (size,)."""
        bounds: NDArray[np.float64] = np.exp2((np.arange(self.size) + 1 + self.offset) / (1 << self.scale))
        return bounds


LATENCY = ExponentialBuckets()

LAG = ExponentialBuckets(scale=2, offset=0, size=100)
