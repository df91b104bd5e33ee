"""Where a graph runs: distribution strategies, session options, precision."""

import json
import os

from deeplab.compat import tensorflow, tf


def worker() -> tuple[int, int]:
    """(which of TF_CONFIG's training workers this process is, how many there are)."""
    config = json.loads(os.environ.get('TF_CONFIG') or '{}')
    cluster, task = config.get('cluster', {}), config.get('task', {})
    chiefs = len(cluster.get('chief', []))
    index = int(task.get('index', 0)) + (chiefs if task.get('type') == 'worker' else 0)
    return index, max(1, chiefs + len(cluster.get('worker', [])))


def is_chief() -> bool:
    """Whether this process writes: the first of TF_CONFIG's training workers, or the only one."""
    return worker()[0] == 0


def make_strategy(devices: str) -> tf.distribute.Strategy | None:
    """The distribution over 'auto' (all GPUs, or TF_CONFIG's workers) or over a list such as 'gpu:0,gpu:1'.

    Several CPU devices are virtual ones, for tests. None means one device, without a strategy.
    """
    if os.environ.get('TF_CONFIG'):
        return tf.distribute.experimental.MultiWorkerMirroredStrategy()
    names = [d.strip().lower() for d in devices.split(',')]
    if names == ['auto']:
        return tf.distribute.MirroredStrategy() if len(tensorflow.config.list_physical_devices('GPU')) > 1 else None
    if len(names) == 1:
        return None
    if all(name.startswith('cpu:') for name in names):
        cpu = tensorflow.config.list_physical_devices('CPU')[0]
        parts = [tensorflow.config.LogicalDeviceConfiguration()] * len(names)
        tensorflow.config.set_logical_device_configuration(cpu, parts)
        # The default all-reduce waits for ever on CPU devices (measured on 2.15.1).
        return tf.distribute.MirroredStrategy(names, cross_device_ops=tf.distribute.ReductionToOneDevice())
    return tf.distribute.MirroredStrategy(names)


def session_config(precision: str, data_format: str = 'auto') -> tf.ConfigProto:
    """Session options; bfloat16 and float16 are graph rewrites that keep variables in float32.

    So are the data formats: graphs are built channels-last, and grappler's layout optimizer turns the convolutions that
    run on GPUs, and what lies between them, to channels-first. It does so by default ('auto'), except where a GPU with
    tensor cores computes in float16, which is faster channels-last. 'channels_last' switches it off.

    Raises:
      ValueError: float16 or channels_first without a GPU, or the two together.
    """
    config = tf.ConfigProto(allow_soft_placement=True)
    config.gpu_options.allow_growth = True
    rewrite = config.graph_options.rewrite_options
    has_gpu = bool(tensorflow.config.list_physical_devices('GPU'))
    if precision == 'bfloat16':
        rewrite.auto_mixed_precision_onednn_bfloat16 = rewrite.ON
    elif precision == 'float16':
        if not has_gpu:
            raise ValueError('train.precision = float16 needs a GPU; on a CPU use bfloat16 or float32')
        rewrite.auto_mixed_precision = rewrite.ON
    if data_format == 'channels_first':
        if not has_gpu:
            raise ValueError('train.data_format = channels_first needs a GPU: the layout optimizer leaves what runs '
                             'on a CPU channels-last; leave it on auto')
        if precision == 'float16':
            raise ValueError('train.data_format = channels_first does not go with float16: tensor cores work '
                             'channels-last, and the layout optimizer keeps to it; leave it on auto')
        rewrite.layout_optimizer = rewrite.ON
    elif data_format == 'channels_last':
        rewrite.layout_optimizer = rewrite.OFF
    return config
