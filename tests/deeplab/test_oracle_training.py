"""Batch statistics, moving averages and gradients of the official DeepLab."""

import json

import numpy as np
import pytest

from deeplab.compat import tf
from deeplab.layers.resize import resize_bilinear
from tests.deeplab import fill, oracle

BATCH_NORM_MODELS = {  # record -> the manifest that it varies
    'mnv2': 'mnv2_os16_voc',
    'resnet_v1_50_beta': 'resnet_v1_50_beta_os16',
    'xception_41': 'xception_41_os16_c21',
}


@pytest.mark.parametrize('name', [
    'mnv2', *(pytest.param(name, marks=pytest.mark.slow) for name in BATCH_NORM_MODELS if name != 'mnv2')])
def test_batch_statistics_and_one_update_equal_the_oracle(name):
    record = json.loads((oracle.ORACLE / 'bntrain.json').read_text())[name]
    manifest = oracle.manifests()[BATCH_NORM_MODELS[name]]
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(fill.images(*record['crop'], batch=record['batch']), tf.float32)
        logits = oracle.build(
            manifest, images, training=True, batch_norm='train', aspp_with_concat_projection=False).logits
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        assert len(updates) == record['num_update_ops']
        moving = {v.op.name: v for v in tf.global_variables() if 'moving_' in v.op.name}
        session.run(tf.global_variables_initializer())
        fill.fill(session, 'A')
        before = session.run(moving)
        found = session.run(logits)[:1]
        session.run(updates)
        after = session.run(moving)
    with np.load(oracle.ORACLE / 'bntrain.npz') as arrays:
        expected = arrays[f'{name}_logits_first_image']
    assert np.abs(found - expected).max() <= 5e-3 * np.abs(expected).max()
    assert moving.keys() == record['moving_after_one_update'].keys()
    for variable, (total, change) in record['moving_after_one_update'].items():
        norm = np.linalg.norm(after[variable].astype(np.float64) - before[variable])
        assert norm == pytest.approx(change, rel=1e-3), variable
        scale = np.abs(after[variable]).sum()
        assert abs(after[variable].sum(dtype=np.float64) - total) <= 1e-3 * scale, variable


@pytest.mark.parametrize('rule', ['A', 'B'])
def test_gradients_equal_the_oracle(rule):
    record = json.loads((oracle.ORACLE / 'train_mnv2_os16_voc.json').read_text())
    manifest = oracle.manifests()[record['config']]
    height, width = record['crop']
    labels = fill.labels(record['batch'], height, width, manifest['num_classes'])
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(fill.images(height, width, record['batch']), tf.float32)
        logits = resize_bilinear(oracle.build(manifest, images).logits, (height, width))
        valid = labels != 255
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=np.where(valid, labels, 0), logits=logits)
        loss = tf.reduce_sum(losses * valid) / valid.sum()
        variables = tf.trainable_variables()
        decayed = tf.add_n([tf.nn.l2_loss(v) for v in variables if v.op.name in set(manifest['l2_regularized'])])
        total = loss + record['weight_decay'] * decayed
        gradients = tf.gradients(total, variables)
        fill.fill(session, rule)
        found, values = session.run([total, gradients])
    assert found == pytest.approx(record['losses'][rule]['total_upsample_all'], rel=1e-5)
    expected = record['grad_l2_of_total_upsample_all'][rule]
    assert {v.op.name for v in variables} == expected.keys()
    for variable, value in zip(variables, values, strict=True):
        assert np.linalg.norm(value) == pytest.approx(expected[variable.op.name], rel=1e-4), variable.op.name
