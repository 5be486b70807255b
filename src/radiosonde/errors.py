"""Exceptions a user can meet. Each message says what to do next.

    RadiosondeError
     ├─ ConfigurationError   a setting or argument that cannot be used; raised at decoration or start, never at predict
     ├─ ProfileError         a reference profile that is damaged, foreign or too new
     ├─ StoreError           a store that is missing, damaged, foreign or too new
     ├─ SpoolError           a spool folder or ring file that cannot be used
     ├─ ReceiptError         a receipt that is forged, truncated, expired, or cannot be made
     └─ MergeError           windows or sketches that cannot be added

Nothing here is ever raised into a prediction: what goes wrong there is counted (`radiosonde._guard`).
"""

from __future__ import annotations


class RadiosondeError(Exception):
    """Base of every exception Radiosonde raises on purpose."""


class ConfigurationError(RadiosondeError, ValueError):
    """A setting or an argument cannot be used; the message lists what can."""


class ProfileError(RadiosondeError, ValueError):
    """A reference profile cannot be read: damaged, made by something else, or by a newer version."""


class StoreError(RadiosondeError):
    """A store cannot be opened or read: missing, damaged, made by something else, or by a newer version."""


class SpoolError(RadiosondeError):
    """A spool folder or a ring file cannot be used: not ours, not writable, no space, torn, or from a newer version."""


class ReceiptError(RadiosondeError, ValueError):
    """A receipt is refused or cannot be made.

    Attributes:
        reason: one word for counting: ``malformed``, ``truncated``, ``unknown_key``, ``forged``, ``expired``, or, when
            signing, ``unfit``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class MergeError(RadiosondeError, ValueError):
    """Two windows or sketches cannot be added because they were counted on different grids or are damaged."""
