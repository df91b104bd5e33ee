"""Builds a C++ source of this folder against the installed TensorFlow, into a cache, and loads it.

The cache is $XDG_CACHE_HOME/deeplab/kernels; $CXX is the compiler, by default g++. A library is found again by
TensorFlow's version, the source, the command that builds it, the compiler's version and the processor.
"""

import fcntl
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from console import checkout
from console.files import whole
from console.progress import say
from deeplab.compat import tensorflow, tf

FOLDER = Path(__file__).parent
# -march=native may not be carried to another processor, hence the key. -O3 costs a fifth more time and gains nothing.
OPTIONS = ('-shared', '-fPIC', '-O2', '-march=native')
CPU_FIELDS = ('vendor_id', 'model name', 'flags')


class Unavailable(Exception):
    """There is no library, and why."""


@functools.cache  # a library registers its operations once
def library(name: str) -> Any:
    """The operations of `name`.cc, built unless the cache has them.

    Raises:
      Unavailable: no compiler, or it fails, or the cache can't be written, or what it holds can't be loaded.
    """
    try:
        return tf.load_op_library(str(built(FOLDER / f'{name}.cc')))
    except (OSError, tf.errors.OpError) as error:
        raise Unavailable(str(error).splitlines()[0]) from error


def built(source: Path) -> Path:
    """The library of a C++ source, from the cache or built into it: whole or not at all, by one process at a time."""
    flags = [*OPTIONS, *tensorflow.sysconfig.get_compile_flags(), *tensorflow.sysconfig.get_link_flags()]
    compiler = _compiler()
    target = checkout.cache('kernels') / f'{source.stem}-{_key(source, [*compiler, *flags])}.so'
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.with_suffix('.lock'), 'w') as lock:  # of several processes one builds
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            say(f'building {source.name} for this processor, once: some ten seconds')
            with whole(target) as aside:
                _run([*compiler, str(source), *flags, '-o', str(aside)])
    return target


def _compiler() -> list[str]:
    command = shlex.split(os.environ.get('CXX', '')) or ['g++']
    found = shutil.which(command[0])
    if not found:
        raise Unavailable(f'there is no compiler {command[0]}; install g++, or set CXX')
    return [found, *command[1:]]


def _key(source: Path, command: list[str]) -> str:
    """Of all that decides the library; any header beside the source may be included."""
    parts = [tf.__version__, *command, _run([*_compiler(), '--version']), _processor()]
    texts = [path.read_bytes() for path in (source, *sorted(source.parent.glob('*.h')))]
    return hashlib.sha256(b'\n'.join(['\n'.join(parts).encode(), *texts])).hexdigest()[:20]


def _processor() -> str:
    """What -march=native goes by: the first processor's name and flags."""
    try:
        lines = Path('/proc/cpuinfo').read_text(encoding='utf8').partition('\n\n')[0].splitlines()
    except OSError:  # not Linux
        return f'{platform.machine()} {platform.processor()}'
    return '\n'.join(line for line in lines if line.startswith(CPU_FIELDS))


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f'exit status {done.returncode}'])[0]
        raise Unavailable(f'{command[0]} failed: {last}')
    return done.stdout
