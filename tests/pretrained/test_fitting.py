import numpy as np

from pretrained.checkpoint import Checkpoint
from pretrained.fitting import fitted
from tests import models
from tests.pretrained.test_convert_vgg16 import NARROW, WIDE, vgg_16


def saved(tmp_path, values):
    return models.save(values | {'global_step': np.int64(7)}, tmp_path / 'slim' / 'vgg_16.ckpt')


def test_fc6_and_fc7_are_reduced_to_what_the_net_has(tmp_path):
    values = vgg_16()
    prefix = saved(tmp_path, values)
    channels = values['vgg_16/fc6/weights'].shape[2]
    variables = {'vgg_16/fc6/weights': (3, 3, channels, NARROW), 'vgg_16/fc7/weights': (1, 1, NARROW, NARROW)}
    for _ in range(2):  # an interrupted start is repeated
        made = Checkpoint(fitted(prefix, variables, tmp_path / 'init'))
        assert {name: made.shapes[name] for name in variables} == variables
    assert np.array_equal(made.value('vgg_16/conv1/conv1_1/weights'), values['vgg_16/conv1/conv1_1/weights'])


def test_what_fits_or_is_something_else_is_taken_as_it_is(tmp_path):
    prefix = saved(tmp_path, vgg_16())
    whole = {'vgg_16/fc6/weights': (7, 7, 8, WIDE)}
    assert whole['vgg_16/fc6/weights'] == Checkpoint(prefix).shapes['vgg_16/fc6/weights']
    for variables in (whole, {'resnet_v1_50/conv1/weights': (7, 7, 3, 64)}, {}):
        assert fitted(prefix, variables, tmp_path / 'init') == prefix
    other = saved(tmp_path / 'other', {'resnet_v1_50/conv1/weights': np.zeros((7, 7, 3, 64), np.float32)})
    assert fitted(other, {'vgg_16/fc6/weights': (3, 3, 8, NARROW)}, tmp_path / 'init') == other
    assert not (tmp_path / 'init').exists()
