"""`radiosonde watch`: a diagnosis that goes on. It follows a source as it grows, keeps incidents over restarts, and notifies.

The parts, each a file: `looking` reads the source and runs the engine; `life` compares its results with the known incidents, and creates
events from the differences; `state` keeps both in the store, with a lease; `channels` turn events into requests, and `delivery`
sends them; `showing` makes metrics. `Watcher` puts them together.
"""
