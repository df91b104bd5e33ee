"""How a command ends: what a user can mend is one line and a status, not a traceback."""

import os
import sys
from collections.abc import Callable


class TrainingFailed(RuntimeError):
    """Training can't go on; the message says where and what to do."""


def guarded(main: Callable[[], int]) -> int:
    """Runs a main; what a user can mend is one line, not a traceback: status 2, or 1 for a training that failed."""
    # Here as well as in compat: `datasets` may be what imports TensorFlow first.
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    try:
        return main()
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    except TrainingFailed as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
