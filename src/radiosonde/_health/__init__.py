"""The health of a process: CPU, throttling, memory, garbage collector, loop lag, waits for a pool, GPU memory."""
