"""Devices by their names, of machines with and without GPUs, and session options that ask for what isn't there."""

import numpy as np
import pytest

import train
from deeplab.compat import tensorflow, tf
from deeplab.training import devices
from deeplab.training.devices import session_config

NO_GPU = pytest.mark.skipif(bool(tensorflow.config.list_physical_devices('GPU')), reason='a GPU is here')


@NO_GPU
@pytest.mark.parametrize('options, message', [
    (('float32', 'channels_first'), 'channels_first needs a GPU: the layout optimizer leaves'),
    (('float16', 'auto'), 'float16 needs a GPU'),
])
def test_what_a_cpu_cannot_do_is_refused_with_the_reason(options, message):
    with pytest.raises(ValueError, match=message):
        session_config(*options)


@NO_GPU
def test_the_reason_is_true():
    config = tf.ConfigProto()
    config.graph_options.rewrite_options.layout_optimizer = config.graph_options.rewrite_options.ON
    metadata, options = tf.RunMetadata(), tf.RunOptions(output_partition_graphs=True)
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        images = net = tf.placeholder(tf.float32, [2, 16, 16, 8])
        for _ in range(3):
            net = tf.nn.relu(tf.nn.conv2d(net, tf.random.stateless_normal([3, 3, 8, 8], [3, 4]), 1, 'SAME'))
        session.run(net, {images: np.ones([2, 16, 16, 8])}, options=options, run_metadata=metadata)
    formats = [node.attr['data_format'].s for graph in metadata.partition_graphs for node in graph.node
               if 'Conv2D' in node.op]
    assert formats == [b'NHWC'] * 3


def test_formats_steer_the_layout_optimizer():
    toggles = {name: session_config('float32', name).graph_options.rewrite_options.layout_optimizer
               for name in ('auto', 'channels_last')}
    rewrite = tf.ConfigProto().graph_options.rewrite_options
    assert toggles == {'auto': rewrite.DEFAULT, 'channels_last': rewrite.OFF}


@pytest.fixture
def machine(monkeypatch):
    """f(number of GPUs) -> what becomes visible, as TensorFlow would tell it, and the strategies that are made."""
    def make(gpus):
        visible = [tensorflow.config.PhysicalDevice(f'/physical_device:GPU:{i}', 'GPU') for i in range(gpus)]
        monkeypatch.setattr(tensorflow.config, 'list_physical_devices', lambda kind, there=tuple(visible): list(there))
        monkeypatch.setattr(tensorflow.config, 'get_visible_devices', lambda kind: visible)
        monkeypatch.setattr(tensorflow.config, 'set_visible_devices',
                            lambda chosen, kind: visible.__setitem__(slice(None), chosen))
        monkeypatch.setattr(tf.distribute, 'MirroredStrategy', lambda names, **_: names)
        return visible
    return make


@pytest.mark.parametrize('gpus, given, strategy, seen', [
    (0, 'auto', None, ''), (1, 'auto', None, 'auto'), (3, 'auto', ['gpu:0', 'gpu:1', 'gpu:2'], 'auto'),
    (0, 'cpu:0', None, ''), (0, '/device:CPU:0', None, ''), (1, 'cpu:0', None, 'none'), (1, 'CPU', None, 'none'),
    (1, 'gpu:0', None, 'auto'), (3, 'gpu:1', None, '1'), (3, '/device:GPU:2', None, '2'), (3, ' GPU:1 ', None, '1'),
    (3, '/job:localhost/replica:0/task:0/device:GPU:1', None, '1'), (3, 'gpu', None, '0'),
    # What is visible is counted from 0 again.
    (3, 'gpu:1,gpu:2', ['gpu:0', 'gpu:1'], '1,2'), (3, 'gpu:2, gpu:0', ['gpu:0', 'gpu:1'], '2,0'),
    (3, 'gpu:0,gpu:1,gpu:2', ['gpu:0', 'gpu:1', 'gpu:2'], 'auto'),
    (3, 'gpu:2,gpu:1,gpu:0', ['gpu:0', 'gpu:1', 'gpu:2'], '2,1,0')])
def test_the_devices_that_are_named_are_those_that_a_session_sees(machine, gpus, given, strategy, seen):
    machine(gpus)
    assert devices.make_strategy(given) == strategy
    config = session_config('float32')
    assert config.gpu_options.visible_device_list == (seen if seen[:1].isdigit() else '')
    assert dict(config.device_count) == ({'GPU': 0} if seen == 'none' else {})


@pytest.mark.parametrize('gpus, given, message', [
    (0, 'banana', "'banana' is unknown; choices: auto, cpu:0$"),
    (0, 'gpu:0', "'gpu:0' is unknown; .*choices: auto, cpu:0$"),
    (2, 'gpu:2', "'gpu:2' is unknown; .*choices: auto, cpu:0, gpu:0, gpu:1"),
    (2, 'gpu:0,gpu:7', "'gpu:7' is unknown"),
    (2, '/device:XPU:0', "'/device:XPU:0' is unknown"),
    (2, '2', "'2' is unknown; choices: auto, cpu:0, gpu:0, gpu:1"),
    (2, '', "'' is unknown"),
    (2, 'gpu:0,', "'' is unknown"),
    (2, 'auto,gpu:1', 'auto is all GPUs and goes alone'),
    (2, 'gpu:1,/device:GPU:1', 'gpu:1 twice'),
    (2, 'cpu:0,gpu:0', 'CPU and GPU together'),
    (2, 'cpu:1', 'cpu:1: there is one CPU; several are parts of it, for tests, and count from cpu:0'),
    (2, 'cpu:0,cpu:2', 'count from cpu:0')])
def test_devices_that_are_not_there_are_refused_with_those_that_are(machine, gpus, given, message):
    visible = machine(gpus)
    with pytest.raises(ValueError, match='^--devices.*' + message):
        devices.make_strategy(given)
    assert len(visible) == gpus


def test_precision_and_format_go_by_the_devices_that_were_chosen(machine):
    machine(1)
    devices.make_strategy('gpu:0')
    session_config('float16')
    devices.make_strategy('cpu:0')
    with pytest.raises(ValueError, match='float16 needs a GPU'):
        session_config('float16')


@pytest.mark.parametrize('gpus, given, names', [
    (3, 'gpu:1', ['gpu:1']), (3, 'auto', ['gpu:0', 'gpu:1', 'gpu:2']), (3, 'gpu:2,gpu:0', ['gpu:2', 'gpu:0']),
    (3, 'cpu:0', ['cpu:0']), (0, 'auto', ['cpu:0'])])
def test_the_devices_have_their_names_on_the_machine(machine, gpus, given, names):
    machine(gpus)
    devices.make_strategy(given)
    assert devices.in_use() == names


def test_of_several_workers_each_has_the_gpus_that_it_names(machine, monkeypatch):
    monkeypatch.setenv('TF_CONFIG', '{}')
    monkeypatch.setattr(tf.distribute.experimental, 'MultiWorkerMirroredStrategy', lambda: 'workers')
    machine(3)
    assert devices.make_strategy('gpu:1') == 'workers'
    assert session_config('float32').gpu_options.visible_device_list == '1'
    with pytest.raises(ValueError, match='--devices cpu:0,cpu:1 .*TF_CONFIG'):
        devices.make_strategy('cpu:0,cpu:1')


@pytest.mark.parametrize('more', [['--clean_model_dir', '--yes'], ['--dry_run']])
def test_a_device_that_is_not_here_is_refused_before_anything_is_deleted_or_built(more, tmp_path):
    (tmp_path / 'recipe.json').write_text('{}')
    with pytest.raises(ValueError, match="--devices = 'banana' is unknown"):
        train.main(['--recipe', 'demo', '--model_dir', str(tmp_path), '--devices', 'banana', *more])
    assert [path.name for path in tmp_path.iterdir()] == ['recipe.json']
