"""The hot path: from the observed call to a slot of the ring."""
