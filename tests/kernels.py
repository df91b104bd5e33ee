"""Whether this machine can build kernels of our own."""

import pytest

from deeplab.compat import tf
from deeplab.kernels import batch_norm
from deeplab.kernels.build import Unavailable


def missing() -> str:
    """Why there are none; empty where there are."""
    try:
        batch_norm.operations()
    except Unavailable as reason:
        return str(reason)
    return ''


needed = pytest.mark.skipif(bool(missing()), reason=f'no kernels of our own here: {missing()}')
# The types of features that a model may have: None is TensorFlow's kernels.
FEATURES = [None, *(pytest.param(dtype, marks=needed, id=dtype.name) for dtype in (tf.float32, tf.bfloat16))]
