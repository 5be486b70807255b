"""``radiosonde bench``: measures the overhead of observing the user's own model or server.

One process calls the model, bare and observed in turns, and times each call; for a server two processes serve, one with
Radiosonde switched off, and requests go to both in turns. Turns are short, so that other load on the machine affects both. The benchmark
has separate settings: nothing is written into the user's store, spool, labels or backend.
"""
