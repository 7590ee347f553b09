"""Run the command line as ``python -m jsisnet``."""

import sys

from jsisnet.cli import main

if __name__ == "__main__":
    sys.exit(main())
