"""`python -m fitting` is the command `diffelec`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
