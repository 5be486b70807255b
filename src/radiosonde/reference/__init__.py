"""Reference profiles: what a model saw in training, the cells it is counted in, and the weights it is judged by."""

from radiosonde.reference.profile import FeatureProfile, Kind, OutputProfile, Reference, Task, grid_id

__all__ = ["FeatureProfile", "Kind", "OutputProfile", "Reference", "Task", "grid_id"]
