"""The one outermost scope of a model."""

from deeplab.compat import slim
from deeplab.layers import conv


def model_scope(training: bool, batch_norm: str = 'train', decay: float | None = None):
    """Context manager that sets the batch-norm mode of everything built inside; open it once, outermost.

    `batch_norm` says what training does: 'train' uses batch statistics and updates the moving ones; 'freeze_statistics'
    uses the moving statistics as they are and still trains gamma and beta; 'freeze' doesn't train those either. Without
    `training` the moving statistics are used and no update exists. `decay` replaces every decay of backbone and head.
    """
    if batch_norm not in conv.BATCH_NORM_MODES:
        raise ValueError(f'batch_norm is {batch_norm!r}; choose one of {", ".join(conv.BATCH_NORM_MODES)}')
    mode = batch_norm if training or batch_norm == 'freeze' else 'freeze_statistics'
    return slim.arg_scope([conv.batch_norm], mode=mode, decay_override=decay)
