"""Paths are dropped by chance, example by example, as often as the step and the place in the network say."""

import numpy as np
import pytest

from deeplab.backbones import nas
from deeplab.compat import slim, tf
from deeplab.layers.conv import batch_norm
from deeplab.layers.drop_path import drop_path
from deeplab.layers.scope import model_scope

NUMBER = 20000


def dropped(step=0, keep=0.6, steps=0, scope='drop_path', times=1, **mode):
    """The factors of `NUMBER` examples at a global step, drawn so many times."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(3)
        at = tf.train.get_or_create_global_step()
        with model_scope(**{'training': True} | mode):
            net = drop_path(tf.ones([NUMBER, 2, 1, 3]), keep, steps, scope=scope)
        session.run(tf.global_variables_initializer())
        session.run(at.assign(step))
        found = [session.run(net) for _ in range(times)]
    assert all(np.array_equal(found[0], other) for other in found)  # a resumed run repeats them
    assert (found[0] == found[0][:, :1, :, :1]).all()  # of whole examples
    return found[0][:, 0, 0, 0]


@pytest.mark.parametrize(('step', 'steps', 'probability'), [(0, 0, 0.6), (7, 0, 0.6), (0, 100, 1.0), (50, 100, 0.8),
                                                            (100, 100, 0.6), (999, 100, 0.6)])
def test_a_path_is_kept_with_the_probability_of_the_step(step, steps, probability):
    factors = dropped(step, steps=steps, times=2)
    assert set(np.unique(factors)) <= {np.float32(0), np.float32(1) / np.float32(probability)}
    deviation = np.sqrt(probability * (1 - probability) / NUMBER)
    assert abs((factors > 0).mean() - probability) <= 4 * deviation
    assert abs(factors.mean() - 1) <= 4 * deviation / probability


def test_steps_and_layers_draw_anew():
    factors = [dropped(), dropped(step=2), dropped(scope='other'), dropped(part=(1, 2))]
    for i, one in enumerate(factors):
        for other in factors[:i]:
            assert abs(((one > 0) == (other > 0)).mean() - (0.6 ** 2 + 0.4 ** 2)) < 0.02


@pytest.mark.parametrize('mode', [{'training': False}, {'batch_norm': 'freeze_statistics'}, {'batch_norm': 'freeze'}])
def test_paths_stay_where_batch_norm_is_not_trained(mode):
    assert (dropped(**mode) == 1).all()


def test_later_cells_of_a_nas_network_are_dropped_more_often(monkeypatch):
    """tensorflow/models research/deeplab core/nas_cell.py: (cell + 1) / cells of the whole, but for `none`."""
    kept = []
    monkeypatch.setattr(nas, 'drop_path', lambda net, keep, steps, scope: kept.append((round(keep, 6), steps)) or net)
    cell = ((nas.Op('separable', 3, 1), nas.Op('max_pool', 3, 0)), (nas.Op('none', 1, 0), nas.Op('separable', 3, 2)))
    network = nas.Network('small', cell, {8: (1, 1, 1, 1)}, {4: -1})
    with tf.Graph().as_default(), model_scope(True), slim.arg_scope([batch_norm], decay=0.9, epsilon=1e-3):
        nas.nas(network, tf.zeros([1, 33, 33, 3]), 8, nas_stem_output_num_conv_filters=2, drop_path_keep_prob=0.6,
                drop_path_steps=70)
    assert kept == [(keep, 70) for keep in (0.9, 0.8, 0.7, 0.6) for _ in range(3)]
