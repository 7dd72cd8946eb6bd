"""`python -m paperjobs` is the command `paperjobs`."""

import sys

from paperjobs.cli import main

sys.exit(main())
