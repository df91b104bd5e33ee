"""The one outermost scope of a model."""

import contextlib
from collections.abc import Iterator

from console.choices import choose
from deeplab.compat import slim, tf
from deeplab.layers import conv
from deeplab.layers.drop_path import drop_path
from deeplab.layers.precision import as_features
from deeplab.layers.recompute import recomputed


def model_scope(training: bool, batch_norm: str = 'train', decay: float | None = None, recompute: bool = False,
                part: tuple[int, int] = (0, 1), features: tf.DType | None = None
                ) -> contextlib.AbstractContextManager[None]:
    """Context manager that sets the batch-norm mode of everything built inside; open it once, outermost.

    `batch_norm` says what training does: 'train' uses batch statistics and updates the moving ones; 'freeze_statistics'
    uses the moving statistics as they are and still trains gamma and beta; 'freeze' doesn't train those either. Without
    `training` the moving statistics are used and no update exists. `decay` replaces every decay of backbone and head.
    `recompute` says whether the insides of `recomputed` blocks are computed again for their gradient; `part` (i, n),
    that this is the i-th of n micro-batches. Paths are dropped where batch norm is trained, as in the official DeepLab.
    `features` is the type that they have between layers, with batch norm by our own kernel; None is float32 and
    TensorFlow's, the only ones without `training`.
    """
    choose('batch_norm', batch_norm, conv.BATCH_NORM_MODES)
    mode = batch_norm if training or batch_norm == 'freeze' else 'freeze_statistics'
    return _arguments(mode, decay, training and recompute, part, features if training else None)


@contextlib.contextmanager
def _arguments(mode: str, decay: float | None, recompute: bool, part: tuple[int, int],
               features: tf.DType | None) -> Iterator[None]:
    with slim.arg_scope([conv.batch_norm], mode=mode, decay_override=decay, own=features is not None), \
            slim.arg_scope([as_features], dtype=features), \
            slim.arg_scope([recomputed], enabled=recompute), \
            slim.arg_scope([conv.dropout, drop_path], part=part), \
            slim.arg_scope([drop_path], training=mode == 'train'):
        yield
