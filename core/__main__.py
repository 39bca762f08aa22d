"""`python -m core`: the command line without Qt."""

import sys

from core.commands.cli import main
from core.memory import keep_freed_memory

if __name__ == "__main__":
    keep_freed_memory()
    sys.exit(main())
