"""``python -m autoimb``."""

import sys

from autoimb._cli import main

sys.exit(main())
