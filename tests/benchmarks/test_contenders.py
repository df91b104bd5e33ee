"""That the peers get the same: nets of as many parameters, and images that are read alike."""

import math

import numpy as np
import pytest
from PIL import Image

from benchmarks import drawn
from benchmarks.contenders import pictures
from benchmarks.contenders.layers import NETS, Conv
from deeplab import run
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.training.estimators import model_variables
from tests.deeplab import oracle

OF_OFFICIAL = {'xception_65': 'xception_65_os16_c21', 'resnet_v1_50_beta': 'resnet_v1_50_beta_os16'}


@pytest.mark.parametrize('name', OF_OFFICIAL)
def test_a_table_has_the_parameters_of_the_official_net(name):
    recorded = oracle.manifests()[OF_OFFICIAL[name]]
    sizes = {variable: math.prod(shape) for variable, shape in recorded['variables'] if variable != 'global_step'}
    net = NETS[name]()
    assert net.parameters == sum(sizes.values())
    convs = [conv for unit in net.units for conv in (*unit.convs, *filter(None, [unit.shortcut]))]
    convs += [conv for branch in net.branches for conv in branch] + [net.projection, net.low_level, *net.decoder]
    kernels = sorted(size for variable, size in sizes.items()
                     if variable.endswith('weights') and 'logits' not in variable)
    assert sorted(conv.kernel ** 2 * conv.inputs // conv.groups * conv.outputs for conv in convs) == kernels


def test_a_table_has_the_parameters_of_our_net():
    chosen = run.resolve(recipes.override(Recipe(), {'data.dataset': 'voc2012', 'data.crop_size': (65, 65)}))
    assert NETS['mobilenet_v2']().parameters == sum(
        math.prod(shape) for variable, shape in model_variables(chosen).items() if variable != 'global_step')


@pytest.mark.parametrize('name', NETS)
def test_a_net_ends_at_output_stride_16_and_its_tap_is_at_4(name):
    net, stride = NETS[name](), 1
    for unit in net.units:
        inner = stride
        for i, conv in enumerate(unit.convs):
            inner *= conv.stride
            if i == unit.tap:
                assert inner == 4
        assert not unit.shortcut or unit.shortcut.stride == inner // stride
        assert unit.shortcut or not unit.residual or unit.stride == inner // stride
        stride = inner * (2 if unit.pool else 1)
    assert stride == 16


def test_parameters_of_a_convolution():
    assert Conv(3, 5, 3).parameters == 3 * 3 * 3 * 5 + 4 * 5
    assert Conv(6, 6, 3, groups=6).parameters == 3 * 3 * 6 + 4 * 6


def test_pictures_are_cut_and_padded_at_their_ends(tmp_path):
    image, label = drawn.draw(3)
    assert image.shape == (*drawn.SIZE, 3) and label.shape == drawn.SIZE and label.max() < 21
    assert (image != drawn.draw(4)[0]).any() and (image == drawn.draw(3)[0]).all()
    Image.fromarray(image).save(tmp_path / 'a.jpg')
    Image.fromarray(label).save(tmp_path / 'a.png')
    images, labels = pictures.batch(str(tmp_path), 2, 400)
    stored = np.asarray(Image.open(tmp_path / 'a.jpg'))
    for one, truth in zip(images, labels, strict=True):  # one file serves for two
        np.testing.assert_array_equal(one[:375], stored[:, :400])
        np.testing.assert_array_equal(truth[:375], label[:, :400])
        assert (one[375:] == 127.5).all() and (truth[375:] == pictures.IGNORE).all()
