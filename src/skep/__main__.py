"""``python -m skep``: the command line."""

import sys

from skep.cli import main

sys.exit(main())
