"""``python -m radiosonde.cli``: the command line where its script is not on the path (a server that starts its agent)."""

from __future__ import annotations

import sys

from radiosonde.cli import main

if __name__ == "__main__":
    sys.exit(main())
