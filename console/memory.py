"""How much memory a process needed."""

import re
import resource
from pathlib import Path

STATUS = Path('/proc/self/status')


def peak_bytes() -> int:
    """The most bytes that this process ever had in memory.

    On Linux not by ru_maxrss, which begins with what the process had that started this one.
    """
    if STATUS.exists():
        return 1024 * int(re.search(r'VmHWM:\s+(\d+) kB', STATUS.read_text())[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS
