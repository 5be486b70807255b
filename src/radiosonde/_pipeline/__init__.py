"""The host's composition root: the one place that knows all stages and joins them."""
