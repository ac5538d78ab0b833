"""`python -m kvcy` starts the server."""

import sys

from kvcy.cli.server import main

if __name__ == "__main__":
    sys.exit(main())
