"""`python -m console`: without a verb it is the terminal console."""

import sys

from console.cli import main

if __name__ == "__main__":
    sys.exit(main())
