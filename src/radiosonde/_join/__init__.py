"""Join stores, where predictions wait for their labels, and the comparison of the two."""
