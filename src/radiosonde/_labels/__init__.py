"""Labels on their way to their predictions: taken from callers and requests, queued, joined, counted into windows."""
