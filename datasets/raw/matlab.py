"""Label ids in MATLAB files, as the Semantic Boundaries and Pascal Context datasets come."""

from pathlib import Path

import numpy as np


def require() -> None:
    """ValueError when the library that reads them is missing; asked before a conversion starts."""
    try:
        import scipy.io  # noqa: F401
    except ImportError as error:
        raise ValueError('.mat labels are read with SciPy: pip install -r requirements-datasets.txt') from error


def read(path: Path, variable: str) -> np.ndarray:
    """The array [height, width] of integers at `variable`, such as 'GTcls.Segmentation'."""
    require()
    import scipy.io

    name, *fields = variable.split('.')
    with path.open('rb') as file:
        try:
            found = scipy.io.loadmat(file, variable_names=[name], squeeze_me=True, struct_as_record=False)
        except Exception as error:  # the reader raises whatever damaged bytes lead it to
            raise ValueError(f'not a MATLAB 5 file, or damaged ({error})') from error
    value = found.get(name)
    for field in fields:
        value = getattr(value, field, None)
    if not isinstance(value, np.ndarray) or value.ndim != 2 or value.dtype.kind not in 'ui':
        raise ValueError(f'has no integer array {variable} of two dimensions')
    return value
