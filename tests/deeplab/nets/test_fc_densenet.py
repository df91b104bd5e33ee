"""FC-DenseNet: the paper's layers, feature maps and parameters."""

import functools

import numpy as np
import pytest

from deeplab.backbones import BACKBONES
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.nets import NETS
from deeplab.nets.fc_densenet import FC_DENSENET_103
from deeplab.recipes import recipe
from tests.deeplab.thin import build


@functools.cache
def variables_of(number):
    options = recipe.load(f'fc_densenet{number}_camvid').model.options
    with tf.Graph().as_default(), model_scope(False):
        NETS['fc_densenet'](tf.zeros([1, 64, 64, 3]), 11, BACKBONES['none'], training=False, output_stride=1,
                            **options)
        return {v.op.name: v.shape.as_list() for v in tf.global_variables()}


def kernels_of(variables):
    return {name.removesuffix('/weights'): shape for name, shape in variables.items() if name.endswith('weights')}


# Table 4 counts the moving statistics, as Lasagne does. It has 1.5 M for FC-DenseNet56, which the described layers
# don't: 12 maps from 4 layers in each of 11 blocks are 1.4 M.
@pytest.mark.parametrize(('number', 'millions'), [(56, 1.4), (67, 3.5), (103, 9.4)])
def test_layers_and_parameters_are_the_papers(number, millions):
    variables = variables_of(number)
    found = sum(int(np.prod(shape)) for shape in variables.values())
    assert round(found / 1e6, 1) == millions
    assert {recipe.load(f'fc_densenet{number}_camvid{stage}').expected.params for stage in ('', '_crops')} == {found}
    assert len(kernels_of(variables)) == number


def test_feature_maps_are_those_of_table_2():
    """As corrected in the README of SimJeg/FC-DenseNet: 896, 1088, 816, ... maps from the bottleneck on."""
    kernels = kernels_of(variables_of(103))
    last = {name.rsplit('/', 2)[0]: shape for name, shape in kernels.items() if '/layer' in name}
    maps = {block: shape[2] + shape[3] for block, shape in last.items()}  # inputs of a block's last layer and its own
    assert maps == {'down1': 112, 'down2': 192, 'down3': 304, 'down4': 464, 'down5': 656, 'bottleneck': 896,
                    'up1': 1088, 'up2': 816, 'up3': 576, 'up4': 384, 'up5': 256}
    assert [kernels[f'up{i}/transition'][2:] for i in range(1, 6)] == [
        [240, 240], [192, 192], [160, 160], [112, 112], [80, 80]]  # the last block's new maps only
    assert kernels['logits'] == [1, 1, 256, 11]


def test_103_layers_are_the_default():
    options = recipe.load('fc_densenet103_camvid').model.options
    assert (tuple(options['layers']), options['growth']) == (FC_DENSENET_103, 16)


def test_kernels_start_he_uniform():
    with tf.Graph().as_default(), tf.Session() as session:
        build('fc_densenet', tf.zeros([1, 33, 33, 3]))
        session.run(tf.global_variables_initializer())
        found = {v.op.name: session.run(v) for v in tf.trainable_variables() if v.op.name.endswith('weights')}
    for name, kernel in found.items():
        if name != 'logits/weights':
            fan_in = kernel[..., 0].size if 'up' not in name or 'transition' not in name else kernel[:, :, 0].size
            limit = np.sqrt(6 / fan_in)
            assert np.abs(kernel).max() <= limit < 1.5 * np.abs(kernel).max(), name


def test_an_even_number_of_blocks_is_refused():
    with tf.Graph().as_default(), pytest.raises(ValueError, match=r'layers is \[2, 2\]: give an odd number'):
        build('fc_densenet', tf.zeros([1, 33, 33, 3]), layers=(2, 2))
