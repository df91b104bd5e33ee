"""How much memory a process needed."""

import re
import resource
import sys
from pathlib import Path

STATUS = Path('/proc/self/status')


def peak_bytes() -> int:
    """The most bytes that this process ever had in memory.

    On Linux by VmHWM, since ru_maxrss begins with what the process had that started this one. gVisor's
    /proc lacks the line.
    """
    peak = re.search(r'VmHWM:\s+(\d+) kB', STATUS.read_text()) if STATUS.exists() else None
    if peak:
        return 1024 * int(peak[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == 'darwin' else 1024)
