"""From the command line to the first convolution: how many of our files one reads through."""

import dataclasses
import traceback
from pathlib import Path

import pytest

from deeplab import run
from deeplab.compat import tf
from deeplab.layers import conv
from deeplab.training import estimators
from tests import models
from tests.paths import ROOT

MOST = 8
BEFORE_MODEL_FN = ('train.py', 'deeplab/training/train.py')  # estimator.Estimator calls model_fn for them


class Reached(Exception):
    """The first convolution is about to be built."""


def files_to_the_first_convolution(recipe, monkeypatch) -> list[str]:
    """Those of a training graph, in the order in which they call each other."""
    def first(*_, **__):
        raise Reached
    monkeypatch.setattr(conv.tf.nn, 'conv2d', first)
    chosen = run.resolve(recipe)
    features = {'image': tf.zeros([1, 65, 65, 3]), 'filename': tf.constant(['a']), 'number': tf.constant([0], tf.int64)}
    with pytest.raises(Reached) as reached:
        estimators.model_fn(features, tf.zeros([1, 65, 65], tf.int32), estimators.MODES.TRAIN, {'run': chosen})
    frames = (Path(frame.filename) for frame in traceback.extract_tb(reached.value.__traceback__))
    ours = (path.relative_to(ROOT).as_posix() for path in frames if path.is_relative_to(ROOT / 'deeplab'))
    return [*BEFORE_MODEL_FN, *dict.fromkeys(ours)]


@pytest.mark.parametrize(('net', 'backbone', 'most'), [
    ('deeplabv3plus', 'resnet_v1_50_beta', MOST), ('pspnet', 'resnet_v1_50_beta', MOST), ('deeplabv2', 'vgg_16', MOST),
    ('deeplabv3plus', 'xception_65', MOST), ('dense_in_dense', 'densenet', MOST), ('deeplabv3', 'nas_pnasnet', MOST),
    ('deeplabv3plus', 'mobilenet_v2', MOST + 1),  # three files of rows share the walker of the MobileNets
])
def test_few_files_lead_to_the_first_convolution(net, backbone, most, monkeypatch):
    recipe = dataclasses.replace(models.tiny(train__batch_size=1), model=dataclasses.replace(
        models.tiny().model, net=net, backbone=backbone, backbone_options={}, options={}, output_stride=8))
    with tf.Graph().as_default():
        files = files_to_the_first_convolution(recipe, monkeypatch)
    assert files[0] == 'train.py' and files[-1] == 'deeplab/layers/conv.py'
    assert len(files) <= most, files
