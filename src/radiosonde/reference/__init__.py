"""Reference profiles: a summary of the training data, its cells, and their weights."""

from radiosonde.reference.profile import FeatureProfile, Kind, OutputProfile, Reference, Task, grid_id

__all__ = ["FeatureProfile", "Kind", "OutputProfile", "Reference", "Task", "grid_id"]
