"""Scales, mirroring, image pyramid and evaluate.py against what the official DeepLab computes."""

import json

import numpy as np
import pytest

import evaluate
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.predicting.forward import forward, forward_pass
from deeplab.predicting.predict import predict
from deeplab.recipes import recipe as recipes
from tests.deeplab import fill, official, oracle

CROP = (65, 65)
SCALES = (0.5, 1.0, 1.75)


def close(found, expected, relative=3e-5):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= relative * np.abs(expected).max()


def predicted(rules, size=CROP, **evaluation):
    """{fill rule: prediction of the oracle's image of that size}."""
    run = official.resolved({f'evaluation.{name}': value for name, value in evaluation.items()})
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(fill.images(*size), tf.float32)
        prediction = predict(forward_pass(run), images, run.recipe.evaluation)
        found = {}
        for rule in rules:
            fill.fill(session, rule)
            found[rule] = session.run(prediction)
    return found


@pytest.fixture(scope='module')
def recorded():
    with np.load(oracle.ORACLE / 'multiscale_mnv2_os16_voc_65x65.npz') as record:
        assert tuple(record['eval_scales']) == SCALES
        return dict(record)


@pytest.mark.slow
def test_scales_and_flip_with_official_compat_equal_the_official_ones(recorded):
    found = predicted('AB', scales=SCALES, flip=True, pad_to=CROP, official_compat=True)
    for rule, (classes, probabilities) in found.items():
        assert (classes == recorded[f'{rule}_flip_argmax']).mean() > 0.999
        close(probabilities[:, ::16, ::16], recorded[f'{rule}_flip_returned_prob_sub16'])


@pytest.mark.parametrize('flip', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_scales_give_the_official_classes_and_mean_probabilities(recorded, flip):
    """The default differs from the official protocol in what it calls the probability: it is the mean itself."""
    which = 'flip' if flip else 'noflip'
    for rule, (classes, probabilities) in predicted('AB', scales=SCALES, flip=flip).items():
        assert (classes == recorded[f'{rule}_{which}_argmax']).mean() > 0.999
        close(probabilities[:, ::4, ::4], recorded[f'{rule}_{which}_avgprob_sub4'])


@pytest.mark.parametrize('size', [(49, 81), (65, 65)])
def test_predictions_without_upsampled_logits_equal_the_official_ones(size):
    with np.load(oracle.ORACLE / 'infer_opt_nearest_pred.npz') as record:
        (classes, probabilities), = predicted('A', size, upsample_logits=False).values()
        name = f'{size[0]}x{size[1]}'
        assert (classes == record[f'A_argmax_{name}']).mean() > 0.999
        close(probabilities[:, ::8, ::8], record[f'A_prob_sub8_{name}'])


@pytest.mark.parametrize(('scales', 'methods'), [((0.5, 1.0), ('max', 'avg')), ((1.0, 1.5), ('max',))])
def test_image_pyramids_equal_the_official_ones(scales, methods):
    name = f'pyr{scales[0]:g}-{scales[1]:g}'
    with np.load(oracle.ORACLE / 'pyramid_mnv2_os16_voc_65x65.npz') as record, \
            tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(fill.images(*CROP), tf.float32)
        for method in methods:
            run = official.resolved({'model.merge_method': method})
            with model_scope(training=False), tf.variable_scope('', reuse=tf.AUTO_REUSE):
                outputs = forward(run, images, scales, training=False, output_stride=16)
            fill.fill(session)
            assert {key: weight for key, (_, weight) in outputs.aux.items()} == {
                f'logits_{scale:.2f}': 1.0 for scale in scales}
            merged, each = session.run([outputs.logits, {key: logits for key, (logits, _) in outputs.aux.items()}])
            close(merged, record[f'{name}_{method}_merged_logits'])
            for key, logits in each.items():
                close(logits, record[f'{name}_max_{key}'])


# case of e2e_eval.json -> (fill rule, the fields that its flags are here)
MULTI = {'evaluation.scales': SCALES, 'evaluation.flip': True}
COMPAT = {'evaluation.official_compat': True}
RESIZE = {'evaluation.min_resize': 49, 'evaluation.max_resize': 65, 'evaluation.resize_factor': 16}
PAD = {'evaluation.pad_to': (65, 81)}
CASES = [
    pytest.param('single_scale', 'A', PAD, id='default'),
    pytest.param('single_scale_ruleB', 'B', PAD | COMPAT),
    pytest.param('flip_only_is_ignored', 'A', PAD | COMPAT | {'evaluation.flip': True}, marks=pytest.mark.slow),
    pytest.param('multi_scale_flip', 'A', PAD | COMPAT | MULTI, marks=pytest.mark.slow),
    pytest.param('multi_scale_flip', 'A', PAD | MULTI, marks=pytest.mark.slow, id='multi_scale_flip_by_default'),
    pytest.param('resize', 'A', {'evaluation.pad_to': (65, 65)} | RESIZE | COMPAT),
]


@pytest.mark.parametrize(('case', 'rule', 'changes'), CASES)
def test_evaluate_py_gives_the_official_summaries(case, rule, changes, tmp_path):
    """Three PNG images through records: mIoU and the IoU of every class."""
    record = json.loads((oracle.ORACLE / 'e2e_eval.json').read_text())
    assert record[case]['rule'] == rule
    biases = np.asarray(record['logits/semantic/biases used instead of the fill'][rule], np.float32)
    checkpoint = official.write_checkpoint(tmp_path, rule, **{'logits/semantic/biases': biases})
    recipes.write_json(official.recipe(changes), tmp_path / 'recipe.json')
    result = tmp_path / 'result.json'
    status = evaluate.main(['--model_dir', str(tmp_path), '--checkpoint', checkpoint, '--record_dir',
                            str(oracle.ORACLE), '--split', 'e2e_val', '--result', str(result)])
    assert status == 0
    found = json.loads(result.read_text())
    assert found['data']['num_images'] == 3
    official_values = {tag.partition('miou_')[2].rpartition('_')[2]: value
                       for tag, value in record[case]['values'].items()}
    assert official_values.pop('overall') == pytest.approx(found['scores']['mean_iou'] / 100, rel=1e-6)
    assert len(official_values) == 21
    for index, iou in enumerate(found['per_class_iou'].values()):
        assert official_values[str(index)] == pytest.approx(iou / 100, rel=1e-6), index
