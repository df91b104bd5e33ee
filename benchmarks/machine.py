"""What a time was taken on: processor, memory, commit, and how busy the machine was."""

import os
import platform
import re
from pathlib import Path
from typing import Any

from console import checkout

FLAGS = ('avx2', 'avx512f', 'avx512_bf16', 'avx512_vnni', 'amx_bf16', 'amx_tile')  # what the kernels differ by
BUSY = 0.5  # of the load average, from which ratios alone are worth something


def machine() -> dict[str, Any]:
    cpu, memory = (Path(f'/proc/{name}') for name in ('cpuinfo', 'meminfo'))
    text = cpu.read_text() if cpu.exists() else ''
    model = re.search(r'model name\s*: (.*)', text)
    flags = re.search(r'flags\s*: (.*)', text)
    total = re.search(r'MemTotal:\s+(\d+)', memory.read_text()) if memory.exists() else None
    return {'cpu': model[1] if model else platform.processor(), 'cores': len(os.sched_getaffinity(0)),
            'flags': [flag for flag in FLAGS if flags and flag in flags[1].split()],
            'memory_gib': round(int(total[1]) / 2**20) if total else None, 'system': platform.platform(),
            'python': platform.python_version()}


def state() -> dict[str, Any]:
    return {**checkout.git(), 'load': round(os.getloadavg()[0], 2), 'machine': machine()}


def warning(load: float) -> str:
    """Empty on an idle machine."""
    return '' if load < BUSY else (f'the machine is busy (load average {load:.1f}): absolute times are too long, '
                                   f'ratios are indicative')
