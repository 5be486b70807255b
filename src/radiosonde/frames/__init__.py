"""The windows of a store as data frames, for notebooks and ad-hoc analysis: `read` returns `Frames`."""

from radiosonde.frames.reading import Frames, read

__all__ = ["Frames", "read"]
