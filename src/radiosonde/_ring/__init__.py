"""The ring buffer between the caller's thread and the consumer.

Nothing is imported here: `import radiosonde` needs the offsets of `radiosonde._ring.layout` and none of the rest.
"""
