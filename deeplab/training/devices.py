"""Where a graph runs: distribution strategies, session options, precision."""

import json
import os
import re

from console.choices import choose
from deeplab.compat import tensorflow, tf

# As people and TensorFlow write them: gpu:1, GPU:1, gpu, /gpu:1, /device:GPU:1, /job:…/device:GPU:1.
DEVICE = re.compile(r'(?:/job:localhost/replica:0/task:0)?/?(?:device:)?(cpu|gpu)(?::(\d+))?')


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
    """The distribution over 'auto' (all GPUs) or over a list such as 'gpu:0,gpu:1' or '/device:GPU:1'.

    GPUs that aren't chosen are hidden from TensorFlow, so nothing runs on them and evaluation keeps to the first chosen
    one. Several CPU devices are virtual ones, for tests. None means one device, without a strategy.

    Raises:
      ValueError: a device isn't here; nothing was changed.
    """
    gpus = tensorflow.config.list_physical_devices('GPU')
    names = _names(devices, len(gpus))
    several = bool(os.environ.get('TF_CONFIG'))
    if several and len(names) > 1 and names[0].startswith('cpu'):
        raise ValueError(f'--devices {devices} divides the CPU, which workers of TF_CONFIG do not; give cpu:0')
    tensorflow.config.set_visible_devices([gpus[int(name[4:])] for name in names if name.startswith('gpu')], 'GPU')
    if several:
        return tf.distribute.experimental.MultiWorkerMirroredStrategy()
    if len(names) == 1:
        return None
    if names[0].startswith('gpu'):
        return tf.distribute.MirroredStrategy([f'gpu:{index}' for index in range(len(names))])
    cpu = tensorflow.config.list_physical_devices('CPU')[0]
    parts = [tensorflow.config.LogicalDeviceConfiguration()] * len(names)
    tensorflow.config.set_logical_device_configuration(cpu, parts)
    # The default all-reduce waits for ever on CPU devices (measured on 2.15.1).
    return tf.distribute.MirroredStrategy(names, cross_device_ops=tf.distribute.ReductionToOneDevice())


def in_use() -> list[str]:
    """The devices that TensorFlow sees, by their names on this machine."""
    return [f'gpu:{index}' for index in _visible()] or ['cpu:0']


def _names(devices: str, gpus: int) -> list[str]:
    """['gpu:0', 'gpu:1'] or ['cpu:0'], and several CPUs only as parts of the one that there is."""
    there = ['cpu:0', *(f'gpu:{index}' for index in range(gpus))]
    given = [_short(name) for name in devices.split(',')]
    if given == ['auto']:
        return there[1:] or there
    if 'auto' in given:
        raise ValueError(f'--devices {devices}: auto is all GPUs and goes alone')
    if len(set(given)) < len(given):
        twice = next(name for name in given if given.count(name) > 1)
        raise ValueError(f'--devices {devices} has {twice} twice')
    cpus = [name for name in given if name.startswith('cpu:')]
    if len(cpus) in (0, len(given)):
        if cpus and sorted(cpus) != [f'cpu:{index}' for index in range(len(cpus))]:
            raise ValueError(f'--devices {devices}: there is one CPU; several are parts of it, for tests, and count '
                             f'from cpu:0')
        return cpus or [choose('--devices', name, ['auto', *there]) for name in given]
    raise ValueError(f'--devices {devices}: CPU and GPU together would wait for each other; choose one kind')


def _short(name: str) -> str:
    """'gpu:1' of '/device:GPU:1', 'GPU:1' and the like; another name as it is."""
    found = DEVICE.fullmatch(name.strip().lower())
    return f'{found[1]}:{int(found[2] or 0)}' if found else name.strip()


def _visible() -> list[int]:
    """The places among this machine's GPUs of those that TensorFlow sees, in its order."""
    gpus = tensorflow.config.list_physical_devices('GPU')
    return [gpus.index(gpu) for gpu in tensorflow.config.get_visible_devices('GPU')]


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
    visible = _visible()
    has_gpu = bool(visible)
    # What is hidden from TensorFlow's own context is not from a session.
    if visible != list(range(len(tensorflow.config.list_physical_devices('GPU')))):
        config.gpu_options.visible_device_list = ','.join(map(str, visible))
        if not has_gpu:
            config.device_count['GPU'] = 0
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
