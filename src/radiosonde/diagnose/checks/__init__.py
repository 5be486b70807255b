"""The checks, one file each; `radiosonde.diagnose.registry` says what a check is and finds them here."""
