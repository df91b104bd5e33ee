"""A new backbone gets the whole contract without an edit: one with parallel branches and output stride 4 alone.

It stands in for HRNet (Sun et al., 2019, arXiv:1904.04514): branches at several strides go side by side, and are joined
at the finest, so that there is nothing to dilate.
"""

import pytest

from deeplab import run
from deeplab.backbones import BACKBONES, Backbone
from deeplab.backbones.backbone import MID_GREY, UNIT_RANGE, BatchNorm, Features
from deeplab.compat import slim, tf
from deeplab.layers.conv import conv2d
from deeplab.layers.resize import resize_bilinear, spatial_size
from deeplab.nets import NETS
from tests import models
from tests.contracts.test_options import check_meanings
from tests.deeplab.backbones import contract
from tests.deeplab.nets.contract import check_inference_graph, check_training, fits

STRIDE = 4
BRANCHES = (4, 8, 16)


def parallel(images: tf.Tensor, output_stride: int, *, width: int = 8) -> Features:
    """Features of normalised images `[N, H, W, 3]`; the taps are the branches.

    Options:
      width: filters of every convolution
    """
    with tf.variable_scope('parallel'), slim.arg_scope(
            [conv2d], initializer=slim.variance_scaling_initializer(factor=2.0), padding='FIXED'):
        net = conv2d(images, width, 3, scope='stem', stride=2)
        branches = []
        for stride in BRANCHES:
            net = conv2d(net, width, 3, scope=f'branch_{stride}', stride=2)
            branches.append(net)
        size = spatial_size(branches[0])
        output = tf.concat([resize_bilinear(branch, size) for branch in branches], 3)
    return Features(output, dict(zip(BRANCHES, branches, strict=True)))


RECORD = Backbone(
    name='stand_in', walk=parallel, scope='parallel', pixels=UNIT_RANGE, pad_value=MID_GREY,
    batch_norm=BatchNorm(decay=0.9, epsilon=1e-5), output_strides=(STRIDE,), taps=BRANCHES)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(BACKBONES, RECORD.name, RECORD)


@pytest.mark.parametrize('check', [
    contract.check_record, contract.check_refusal, contract.check_sizes, contract.check_dense_features])
def test_it_keeps_the_contract_of_backbones(check):
    check(RECORD)


def test_its_options_are_explained():
    check_meanings(RECORD.build)


NETS_OF_IT = [name for name, net in NETS.items() if fits(net, RECORD)]


def test_nets_that_take_any_backbone_take_it():
    assert {'deeplabv3', 'deeplabv3plus', 'pspnet'} <= set(NETS_OF_IT)


@pytest.mark.parametrize('net', NETS_OF_IT)
def test_every_net_that_fits_trains_and_predicts_with_it(net):
    check_training(net, RECORD.name)
    check_inference_graph(net, RECORD.name)


def test_a_recipe_takes_it_by_name_at_its_stride():
    chosen = {'model__backbone': RECORD.name, 'model__backbone_options': {'width': 4}}
    found = run.resolve(models.tiny(**chosen, model__output_stride=STRIDE))
    assert found.backbone.options == {'width': 4}
    with pytest.raises(ValueError, match=r'output stride 16 is not one of stand_in: \[4\]'):
        run.resolve(models.tiny(**chosen, model__output_stride=16))
