"""`python -m core`: the command line without Qt."""

import sys

from core.commands.cli import main
from core.memory import keep_freed_memory
from core.privacy import report_nothing

if __name__ == "__main__":
    report_nothing()
    keep_freed_memory()
    sys.exit(main())
