"""Reducing vgg_16.ckpt: true names, thin shapes."""


import numpy as np
import pytest

from console.exits import guarded
from deeplab.backbones import BACKBONES
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.nets.deeplabv1 import deeplabv1
from deeplab.nets.deeplabv2 import deeplabv2
from pretrained import convert_vgg16, restore
from tests import models

THIN = 1 / 64
STAGES = ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))
WIDE, NARROW = 16, 4


def vgg_16():
    """Values under slim's names, 1/64 as wide; fc6 and fc7 have 16 channels."""
    shapes, channels = {}, 3
    for stage, (count, filters) in enumerate(STAGES, 1):
        for i in range(1, count + 1):
            shapes[f'vgg_16/conv{stage}/conv{stage}_{i}'] = (3, 3, channels, filters)
            channels = filters
    shapes |= {'vgg_16/fc6': (7, 7, channels, WIDE), 'vgg_16/fc7': (1, 1, WIDE, WIDE), 'vgg_16/fc8': (1, 1, WIDE, 10)}
    random = np.random.RandomState(0)
    return {f'{name}/{part}': random.normal(0, 0.3, shape if part == 'weights' else shape[-1:]).astype(np.float32)
            for name, shape in shapes.items() for part in ('weights', 'biases')}


@pytest.fixture
def source(tmp_path):
    values = vgg_16()
    return models.save(values | {'global_step': np.int64(7)}, tmp_path / 'slim' / 'vgg_16.ckpt'), values


def read(prefix):
    reader = tf.train.load_checkpoint(prefix)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


@pytest.mark.parametrize(('kernel_size', 'positions'), [(3, [0, 3, 6]), (4, [0, 2, 4, 6]), (7, range(7)), (1, [3])])
def test_every_so_many_weights_are_kept(source, tmp_path, kernel_size, positions):
    prefix, values = source
    found = read(convert_vgg16.convert(prefix, tmp_path / 'out', kernel_size=kernel_size, channels=NARROW))
    convolutions = {name for name in values if '/conv' in name}
    fully_connected = {f'vgg_16/{name}/{part}' for name in ('fc6', 'fc7') for part in ('weights', 'biases')}
    assert set(found) == convolutions | fully_connected and len(convolutions) == 26
    for name in convolutions:
        np.testing.assert_array_equal(found[name], values[name])
    fc6, fc7 = found['vgg_16/fc6/weights'], found['vgg_16/fc7/weights']
    assert fc6.shape == (kernel_size, kernel_size, 8, NARROW) and fc7.shape == (1, 1, NARROW, NARROW)
    for i, j, c in np.ndindex(kernel_size, kernel_size, NARROW):
        np.testing.assert_array_equal(
            fc6[i, j, :, c], values['vgg_16/fc6/weights'][positions[i], positions[j], :, 4 * c])
    for a, b in np.ndindex(NARROW, NARROW):
        assert fc7[0, 0, a, b] == values['vgg_16/fc7/weights'][0, 0, 4 * a, 4 * b]
    for name in ('fc6', 'fc7'):
        np.testing.assert_array_equal(found[f'vgg_16/{name}/biases'], values[f'vgg_16/{name}/biases'][::4])


@pytest.mark.parametrize(('net', 'branches', 'names'), [
    (deeplabv1, 1, ['fc6', 'fc7']), (deeplabv2, 4, [f'{name}_{i}' for name in ('fc6', 'fc7') for i in (1, 2, 3, 4)])])
def test_the_net_takes_all_of_the_converted_checkpoint_and_refuses_slims(source, tmp_path, net, branches, names):
    prefix, values = source
    converted = convert_vgg16.convert(prefix, tmp_path / 'out', channels=NARROW, branches=branches)
    thin = BACKBONES['vgg_16'].with_options({'depth_multiplier': THIN, 'pool_size': 3})
    with tf.Graph().as_default(), tf.Session() as session, model_scope(training=False):
        net(tf.zeros([1, 33, 33, 3]), 5, thin, training=False, output_stride=8, fc_channels=NARROW)
        variables = {v.op.name: tuple(v.shape.as_list()) for v in tf.global_variables()}
        report = restore.plan(converted, variables, scope='vgg_16')
        assert all(name.startswith('logits/') for name in report.missing) and not report.unused
        assert len(report.restored) == 26 + 2 * len(names)
        tf.train.init_from_checkpoint(report.prefix, restore.assignment_map(report))
        session.run(tf.global_variables_initializer())
        found = {v.op.name: session.run(v) for v in tf.global_variables()}
        for name in names:
            wanted = values[f'vgg_16/{name[:3]}/weights']
            wanted = wanted[::3, ::3, :, ::4] if name.startswith('fc6') else wanted[:, :, ::4, ::4]
            np.testing.assert_array_equal(found[f'vgg_16/{name}/weights'], wanted)
        with pytest.raises(ValueError, match='does not cover the backbone vgg_16'):
            restore.plan(prefix, variables, scope='vgg_16')


def test_what_cannot_be_converted_is_refused(source, tmp_path):
    prefix, _ = source
    for options in ({'kernel_size': 8}, {'channels': 5}, {'branches': 0}, {'kernel_size': 0}):
        with pytest.raises(ValueError, match='fc6 of .*vgg_16.ckpt is 7x7 with 16 channels; give a side up to 7'):
            convert_vgg16.convert(prefix, tmp_path / 'out', **({'channels': NARROW} | options))
    with pytest.raises(ValueError, match='slim exists; give a folder that does not'):
        convert_vgg16.convert(prefix, tmp_path / 'slim')
    other = models.save({'vgg_16/conv1/conv1_1/weights': np.ones(2, np.float32)}, tmp_path / 'other' / 'x.ckpt')
    with pytest.raises(ValueError, match='x.ckpt has no vgg_16/fc6/weights; give slim'):
        convert_vgg16.convert(other, tmp_path / 'out')
    assert not (tmp_path / 'out').exists() and sorted(p.name for p in tmp_path.iterdir()) == ['other', 'slim']


def test_the_command_says_what_it_wrote_or_what_is_wrong(source, tmp_path, capsys):
    command = [source[0], str(tmp_path / 'out'), '--channels', '8', '--branches', '4']
    assert convert_vgg16.main(command) == 0
    assert 'out/model.ckpt: fc6 3x3, 8 channels, 4 branches' in capsys.readouterr().out
    assert restore.locate(tmp_path / 'out') == str(tmp_path / 'out' / 'model.ckpt')
    assert guarded(lambda: convert_vgg16.main(command)) == 2
    assert 'out exists' in capsys.readouterr().err
