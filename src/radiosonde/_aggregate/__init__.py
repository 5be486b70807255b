"""From blocks of records to windows: grouped by series, folded vectorised, frozen when a window closes."""
