"""Where a graph runs: distribution strategies, session options, precision."""

import json
import os

from deeplab.compat import tensorflow, tf


def worker() -> tuple[int, int]:
    """(which of TF_CONFIG's training workers this process is, how many there are); worker 0, the chief, writes."""
    config = json.loads(os.environ.get('TF_CONFIG') or '{}')
    cluster, task = config.get('cluster', {}), config.get('task', {})
    chiefs = len(cluster.get('chief', []))
    index = int(task.get('index', 0)) + (chiefs if task.get('type') == 'worker' else 0)
    return index, max(1, chiefs + len(cluster.get('worker', [])))


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


def session_config(precision: str) -> tf.ConfigProto:
    """Session options; bfloat16 and float16 are graph rewrites that keep variables in float32.

    Raises:
      ValueError: float16 without a GPU.
    """
    config = tf.ConfigProto(allow_soft_placement=True)
    config.gpu_options.allow_growth = True
    rewrite = config.graph_options.rewrite_options
    if precision == 'bfloat16':
        rewrite.auto_mixed_precision_onednn_bfloat16 = rewrite.ON
    elif precision == 'float16':
        if not tensorflow.config.list_physical_devices('GPU'):
            raise ValueError('train.precision = float16 needs a GPU; on a CPU use bfloat16 or float32')
        rewrite.auto_mixed_precision = rewrite.ON
    return config
