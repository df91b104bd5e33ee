"""How a command ends: its exit status, and one line instead of a traceback for what a user can mend."""

import os
import signal
import sys
from collections.abc import Callable

DONE, FAILED, TO_MEND = 0, 1, 2
INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
# Every --help ends with it.
MEANING = """Exit status: 0 done; 1 the work failed, or a check found something wrong;
2 something to mend in flags, recipe, data or files, which the last line names;
130 ended by Ctrl-C; 143 ended by SIGTERM."""


class Failed(RuntimeError):
    """The work can't go on or came out wrong; the message says where and what to do."""


def guarded(main: Callable[[], int]) -> int:
    """Runs the main of a command and returns its exit status, one of the above.

    SIGTERM ends it as an exception does, so that worker processes and unfinished files go as well; again: at once.
    """
    # Here as well as in compat: `datasets` may be what imports TensorFlow first.
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        return main()
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return TO_MEND
    except Failed as error:
        print(f'error: {error}', file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminate(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_DFL)
    sys.exit(TERMINATED)
