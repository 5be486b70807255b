"""The checks, one file each; `radiosonde.diagnose.registry` defines checks and discovers them here."""
