"""`python -m core`: the command line without Qt."""

import sys

from core.allocation import keep_freed_memory
from core.cli import main

if __name__ == "__main__":
    keep_freed_memory()
    sys.exit(main())
