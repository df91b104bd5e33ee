"""Whose kernels a training takes: TensorFlow's, or our own where they can be built."""

from console.choices import choose
from deeplab.compat import tensorflow, tf
from deeplab.kernels import batch_norm, cross_entropy
from deeplab.kernels.build import Unavailable

# What `train.kernels` may be, 'auto' being one of the others; of our own, the type of features by `train.precision`.
CHOICES = ('auto', 'own', 'tensorflow')
TYPES = {'bfloat16': tf.bfloat16, 'float32': tf.float32}


def chosen(kernels: str, precision: str) -> tuple[str, str]:
    """('own' or 'tensorflow', why where that isn't said by the choice itself).

    'auto' is our own in bfloat16, on a CPU with a compiler: numbers in float32 stay what they are.

    Raises:
      ValueError: 'own' was asked for, and there is no such thing here.
    """
    choose('train.kernels', kernels, CHOICES)
    if kernels == 'tensorflow':
        return kernels, ''
    if kernels == 'auto' and precision == 'float32':
        return 'tensorflow', ''
    reason = _missing(precision)
    if reason and kernels == 'own':
        raise ValueError(f'train.kernels = own: {reason}; leave it on auto, or choose tensorflow')
    return ('tensorflow', reason) if reason else ('own', '')


def features(kernels: str, precision: str) -> tf.DType | None:
    """The type of features for `model_scope`; None with TensorFlow's kernels, and while 'auto' isn't decided."""
    return TYPES[precision] if kernels == 'own' else None


def _missing(precision: str) -> str:
    """Why there are none of our own; empty where there are."""
    if precision not in TYPES:
        return f'there are none in {precision}'
    if tensorflow.config.list_physical_devices('GPU'):
        return 'they run on CPUs alone, and a GPU is here'
    try:
        for kernel in (batch_norm, cross_entropy):
            kernel.operations()
    except Unavailable as reason:
        return str(reason)
    return ''
