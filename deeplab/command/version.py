"""What runs here, in a line: the version, that of TensorFlow, and in a checkout the commit."""

import importlib.metadata

from console import checkout
from deeplab import __version__


def line() -> str:
    """Such as `deeplab-harness 0.2.0, TensorFlow 2.15.1, commit cfb81b2+`; a + is for uncommitted changes."""
    parts = [f'deeplab-harness {__version__}', f'TensorFlow {_installed("tensorflow")}']
    git = checkout.git()
    if git['commit']:
        parts.append(f'commit {git["commit"][:7]}{"+" if git["dirty"] else ""}')
    return ', '.join(parts)


def _installed(distribution: str) -> str:
    """Asked of the installed files, because importing TensorFlow takes seconds."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return 'not installed'
