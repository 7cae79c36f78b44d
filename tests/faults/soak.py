"""Break small searches and campaigns many times: `python tests/faults/soak.py --help`."""

from __future__ import annotations

import sys
from pathlib import Path

SUPPORT = Path(__file__).parents[1] / "support"

if __name__ == "__main__":
    # In front of what is installed stands the tree that this file lies in.
    sys.path[:0] = [str(SUPPORT), str(SUPPORT.parents[1] / ".typing")]
    from soaking import main

    sys.exit(main())
