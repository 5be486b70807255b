"""Exceptions of the public API. Each message says what to do next.

    RadiosondeError
     ├─ ConfigurationError   an invalid setting or argument; raised at decoration or start, never during a prediction
     ├─ ProfileError         a reference profile that is damaged, of another format, or from a newer version
     ├─ StoreError           a store that is missing, damaged, of another format, or from a newer version
     ├─ SpoolError           a spool folder or ring file that cannot be used
     ├─ ReceiptError         a receipt that is forged, truncated, expired, or cannot be made
     └─ MergeError           windows or sketches that cannot be added

None of them is ever raised by a prediction: errors there are counted (`radiosonde._guard`).
"""

from __future__ import annotations


class RadiosondeError(Exception):
    """Base of every exception Radiosonde raises on purpose."""


class ConfigurationError(RadiosondeError, ValueError):
    """A setting or an argument is invalid. The message lists the valid values."""


class ProfileError(RadiosondeError, ValueError):
    """A reference profile cannot be read: it is damaged, of another format, or from a newer version."""


class StoreError(RadiosondeError):
    """A store cannot be opened or read: it is missing, damaged, of another format, or from a newer version."""


class SpoolError(RadiosondeError):
    """A spool folder or a ring file cannot be used: it is foreign, read-only, torn or from a newer version, or the disk is full."""


class ReceiptError(RadiosondeError, ValueError):
    """A receipt was rejected, or cannot be created.

    Attributes:
        reason: one word for counting: ``malformed``, ``truncated``, ``unknown_key``, ``forged``, ``expired``, or, when
            signing, ``unfit``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class MergeError(RadiosondeError, ValueError):
    """Windows or sketches cannot be merged: their grids differ, or one is damaged."""
