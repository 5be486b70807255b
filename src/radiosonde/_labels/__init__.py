"""Labels from callers and requests: queued, joined, and counted in windows."""
