"""The protocol: what is refused, what results and tables call it, bands, categories, first images, means of runs."""

import dataclasses
import hashlib
import json
import re

import numpy as np
import pytest

import evaluate
from console.exits import guarded
from datasets import row as rows
from deeplab import metrics, run
from deeplab.compat import tf
from deeplab.recipes import protocol
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Evaluation, Recipe
from deeplab.reports import measurement
from deeplab.trained import averages
from tests import models

IGNORE = 255


@pytest.mark.parametrize(('changes', 'message'), [
    ({'fusion': 'median'}, "evaluation.fusion = 'median' is unknown; did you mean mean"),
    ({'tile_size': (5,)}, r'tile_size = \[5\]: give height and width'),
    ({'tile_size': (5, 0)}, 'give height and width'),
    ({'tile_size': (5, 5), 'tile_overlap': 1.0}, 'tile_overlap = 1.0: give a share'),
    ({'tile_size': (5, 5), 'tile_weighting': 'gaus'}, 'did you mean gaussian'),
    ({'tile_limit': 5}, 'tile_limit = 5 needs evaluation.tile_size'),
    ({'tile_size': (5, 5), 'upsample_logits': False}, 'needs evaluation.upsample_logits'),
    ({'crf': 'deeplabv2'}, 'did you mean deeplabv2_'),
    ({'crf_options': {'iterations': 5}}, 'name one as evaluation.crf'),
    ({'crf': 'deeplabv2_vgg16', 'crf_options': {'bilateral_x': 5}}, 'did you mean bilateral_xy'),
    ({'crf': 'deeplabv2_vgg16', 'crf_options': {'bilateral_xy': 0}}, 'bilateral_xy = 0: give a number above 0'),
    ({'crf': 'deeplabv2_vgg16', 'crf_options': {'iterations': 2.5}}, 'iterations = 2.5: give a number above 0'),
    ({'resize_factor': 5}, 'need evaluation.min_resize'),
    ({'tile_overlap': -0.1}, 'tile_overlap = -0.1: give a share'),
    ({'max_resize': 5}, 'need evaluation.min_resize'),
    ({'resolution': 'resized'}, "evaluation.resolution = 'resized' scores at the size"),
    ({'resolution': 'network'}, 'choices: original, resized'),
    ({'trimap': (0,)}, 'give widths of at least a pixel'),
    ({'trimap_around': 'nothing'}, 'choices: void, edges'),
    ({'limit': -1}, 'or 0 for all'),
    ({'official_compat': True, 'crf': 'deeplabv2_vgg16'}, 'the official code has no evaluation.crf'),
    ({'official_compat': True, 'fusion': 'max'}, 'the official code has no evaluation.fusion'),
    ({'official_compat': True, 'tile_size': (5, 5)}, 'the official code has no evaluation.tile_size'),
])
def test_what_is_not_a_protocol_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        run.resolve(recipes.override(Recipe(), {f'evaluation.{name}': value for name, value in changes.items()}))


@pytest.mark.parametrize('changes', [
    {'tile_size': (1, 1), 'tile_overlap': 0.0}, {'trimap': (1,)}, {'tile_size': (5, 5), 'tile_limit': 1},
    {'crf': 'deeplabv2_vgg16', 'crf_options': {'iterations': 1, 'bilateral_xy': 0.5}},
    {'min_resize': 1, 'max_resize': 1, 'resize_factor': 1, 'resolution': 'resized'},
    {'official_compat': True, 'upsample_logits': False}])
def test_the_least_of_each_is_a_protocol(changes):
    protocol.check(recipes.override(Recipe(), {f'evaluation.{name}': value for name, value in changes.items()}
                                    ).evaluation)


@pytest.mark.parametrize(('changes', 'resized'), [
    ({}, False), ({'official_compat': True}, False), ({'min_resize': 33}, False),
    ({'min_resize': 33, 'official_compat': True}, True), ({'min_resize': 33, 'resolution': 'resized'}, True)])
def test_the_official_code_scores_what_it_resized(changes, resized):
    assert protocol.scored_resized(Evaluation(**changes)) is resized


EVERYTHING = {
    'scales': (0.5, 1.0), 'flip': True, 'fusion': 'max', 'tile_size': (65, 97), 'tile_weighting': 'gaussian',
    'tile_limit': 9, 'crf': 'deeplabv1_largefov', 'min_resize': 33, 'resolution': 'resized', 'absent': 'zero',
    'limit': 30, 'pad_to': (3, 5),
}


# A change of each field that decides a number, where need be from a protocol that has what the field belongs to.
TILES = {'tile_size': (65, 97)}
CRF = {'crf': 'deeplabv2_vgg16'}
CHANGES = [
    ({}, {'output_stride': 8}), ({}, {'pad_to': (513, 513)}), ({'pad_to': (513, 513)}, {'pad_to': (513, 769)}),
    ({}, {'min_resize': 33}), ({'min_resize': 33}, {'max_resize': 65}), ({'min_resize': 33}, {'resize_factor': 16}),
    ({'min_resize': 33, 'max_resize': 65}, {'max_resize': 0, 'resize_factor': 65}), ({}, {'scales': (0.5, 1.0)}),
    ({}, {'flip': True}), ({'flip': True}, {'fusion': 'max'}), ({}, TILES), (TILES, {'tile_size': (97, 65)}),
    (TILES, {'tile_overlap': 0.5}), (TILES, {'tile_overlap': 0.334}), (TILES, {'tile_weighting': 'gaussian'}),
    (TILES, {'tile_limit': 9}), ({}, CRF), (CRF, {'crf': 'deeplabv2_resnet101'}),
    (CRF, {'crf_options': {'bilateral_xy': 50}}), (CRF, {'crf_options': {'iterations': 5}}),
    ({}, {'upsample_logits': False}), ({'min_resize': 33}, {'official_compat': True}), ({}, {'official_compat': True}),
    ({}, {'absent': 'zero'}), ({}, {'absent': 'ground_truth'}), ({'min_resize': 33}, {'resolution': 'resized'}),
    ({}, {'limit': 30}),
]
# These score bands besides, under tags and names of their own.
NO_CHANGE = {'trimap', 'trimap_around'}


def described(changes, **others):
    """The protocol of such an evaluation, as it comes out of a result."""
    recipe = recipes.override(Recipe(), {f'evaluation.{name}': value for name, value in changes.items()} | others)
    protocol.check(recipe.evaluation)
    return json.loads(json.dumps(protocol.describe(recipe)))


def test_a_line_says_the_whole_protocol():
    found = described(EVERYTHING, **{'model.output_stride': 8})
    assert protocol.text(found) == (
        'OS 8, scales 0.5, 1, flip, max-fused, tiles 65x97 above 9 pixels, overlap 0.33, gaussian, padded to 3x5, '
        'resized to 33, scored there, CRF deeplabv1_largefov, absent classes: zero, first 30 images')
    assert protocol.text(described({})) == 'OS 16'
    assert found['crf'] == {'parameters': 'deeplabv1_largefov', 'bilateral_weight': 4, 'bilateral_xy': 121,
                            'bilateral_rgb': 5, 'spatial_weight': 3, 'spatial_xy': 3, 'iterations': 10}
    assert protocol.text(described({'min_resize': 33, 'max_resize': 65, 'resize_factor': 16})) == (
        'OS 16, resized to 33, at most 65, multiples of 16 plus one')
    assert protocol.text(described({'min_resize': 33, 'official_compat': True, 'upsample_logits': False})) == (
        'OS 16, resized to 33, scored there, classes enlarged, as official')


def test_every_field_that_decides_a_number_is_changed_here():
    changed = {name for _, change in CHANGES for name in change}
    assert changed | NO_CHANGE == {field.name for field in dataclasses.fields(Evaluation)}
    assert not changed & NO_CHANGE


@pytest.mark.parametrize(('base', 'change'), CHANGES, ids=str)
def test_what_changes_a_number_changes_text_and_name(base, change):
    several = [described(base), described(base | change)]
    assert len({protocol.text(each) for each in several}) == 2
    assert len({protocol.name(each) for each in several}) == 2


def test_no_two_protocols_share_a_folder():
    several = [described(base | change) for base, change in CHANGES] + [described({}), described(EVERYTHING)]
    others = [{'data.limit': 7}, {'train.precision': 'bfloat16'}, {'train.precision': 'float16'}]
    several += [described({}, **other) for other in others]
    different = {json.dumps(each) for each in several}
    assert len({protocol.name(each) for each in several}) == len(different) == len(CHANGES) + 5
    assert len({protocol.text(each) for each in several}) == len(different)


def test_a_folder_is_named_like_a_file():
    """And stays so: curves go on in the folder in which they began."""
    names = [protocol.name(described(each)) for each in (
        {}, EVERYTHING, {'absent': 'ground_truth', 'flip': True}, {'min_resize': 513, 'official_compat': True},
        {'min_resize': 33, 'max_resize': 65, 'resize_factor': 16, 'upsample_logits': False}, {'tile_size': (65, 97)},
        {'crf': 'deeplabv2_vgg16', 'crf_options': {'iterations': 5, 'bilateral_xy': 50.5}})]
    assert not re.sub(r'[\w.]', '', ''.join(names))
    assert names == [
        'os16',
        ('os16_0.5_1_flip_max_tiles65x97_0.33_gaussian_above9_padded3x5_resized33_scored_resized_'
         'crf_deeplabv1_largefov_zero_first30'),
        'os16_flip_ground_truth', 'os16_resized513_official',
        'os16_resized33_max65_factor16_nearest', 'os16_tiles65x97_0.33_uniform',
        'os16_crf_deeplabv2_vgg16_bilateral_xy50.5_iterations5']


@pytest.mark.parametrize(('same', 'other'), [
    ({'crf_options': {'bilateral_xy': 50, 'iterations': 5}}, {'crf_options': {'iterations': 5, 'bilateral_xy': 50}}),
    ({'crf_options': {'spatial_xy': 2}}, {})])
def test_one_protocol_has_one_name(same, other):
    names = {protocol.name(described(CRF | options)) for options in (same, other)}
    assert len(names) == 1


@pytest.mark.parametrize(('data', 'evaluation', 'first'), [(0, 0, 0), (5, 0, 5), (0, 5, 5), (3, 5, 3), (5, 3, 3)])
def test_the_first_images_are_those_that_both_limits_leave(data, evaluation, first):
    assert described({'limit': evaluation}, **{'data.limit': data})['first_images'] == first


def test_a_result_of_before_is_worded_without_what_it_lacks():
    old = {'output_stride': 8, 'scales': [1.0], 'flip': True, 'pad_to': [], 'absent_classes': 'union'}
    assert protocol.text(old) == 'OS 8, flip'


def test_changed_parameters_of_a_crf_are_told():
    usual, changed = (described({'crf': 'deeplabv1_largefov', 'crf_options': options})
                      for options in ({}, {'bilateral_xy': 50, 'bilateral_weight': 4}))
    assert protocol.text(usual) == 'OS 16, CRF deeplabv1_largefov'
    assert protocol.text(changed) == 'OS 16, CRF deeplabv1_largefov with bilateral_xy 50'


def test_options_replace_parameters_of_a_set():
    found = protocol.crf_parameters(Evaluation(crf='deeplabv2_vgg16', crf_options={'bilateral_xy': 50}))
    assert found == dataclasses.replace(protocol.CRFS['deeplabv2_vgg16'], bilateral_xy=50)
    changed = recipes.override(Recipe(), {'evaluation.crf': 'deeplabv2_vgg16',
                                          'evaluation.crf_options.bilateral_xy': '50'})
    assert protocol.crf_parameters(run.resolve(changed).recipe.evaluation) == found


@pytest.mark.parametrize(('name', 'bilateral', 'spatial'), [
    ('deeplabv1_largefov', (4, 121, 5), (3, 3)), ('deeplabv2_vgg16', (4, 65, 3), (2, 2)),
    ('deeplabv2_resnet101', (4, 67, 3), (3, 1))])
def test_the_crfs_are_the_published_ones(name, bilateral, spatial):
    """Weight, xy, rgb; weight, xy: wangleihitcs/DeepLab-V1-PyTorch@950b489:main.py, and meng-tang/rloss@1caa759."""
    found = protocol.CRFS[name]
    assert (found.bilateral_weight, found.bilateral_xy, found.bilateral_rgb) == bilateral
    assert (found.spatial_weight, found.spatial_xy, found.iterations) == (*spatial, 10)


def expected_band(labels, width, around):
    """By distance to each pixel, in a loop."""
    height, columns = labels.shape
    core = np.zeros(labels.shape, bool)
    for row in range(height):
        for column in range(columns):
            beside = [(row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)]
            core[row, column] = labels[row, column] == IGNORE if around == 'void' else any(
                labels[r, c] != labels[row, column] for r, c in beside if 0 <= r < height and 0 <= c < columns)
    found = np.full(labels.shape, IGNORE)
    for row, column in np.argwhere(core):
        near = slice(max(0, row - width), row + width + 1), slice(max(0, column - width), column + width + 1)
        found[near] = labels[near]
    return found


@pytest.mark.parametrize('around', ['void', 'edges'])
@pytest.mark.parametrize('width', [1, 3])
def test_a_band_equals_numpy(around, width):
    random = np.random.RandomState(0)
    labels = np.kron(random.randint(0, 3, (3, 4)), np.ones((7, 6), int))
    labels[5, 4:9] = labels[18, 20] = IGNORE
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(metrics.in_band(tf.constant(labels[None], tf.int32), width, IGNORE, around))[0]
    np.testing.assert_array_equal(found, expected_band(labels, width, around))
    assert 0 < (found != IGNORE).sum() < (labels != IGNORE).sum()


def test_categories_equal_the_matrix_of_joined_labels():
    cityscapes = rows.load('cityscapes')
    assert len(set(cityscapes.categories)) == 7 and len(cityscapes.categories) == 19
    random = np.random.RandomState(0)
    truth, predicted = random.randint(0, 19, (2, 4000))
    matrix, joined = np.zeros((19, 19), np.int64), np.zeros((7, 7), np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    names = list(dict.fromkeys(cityscapes.categories))
    group = np.array([names.index(name) for name in cityscapes.categories])
    np.add.at(joined, (group[truth], group[predicted]), 1)
    measured = measurement.Measurement(
        recipe=Recipe(), dataset=cityscapes, confusion_matrix=matrix, num_images=4, split_images=4, list_sha256='ab',
        checkpoint='x/model.ckpt-7', checkpoint_sha256='0123456789', global_step=7, gpus=(), seconds=1.25)
    found = measurement.to_dict(measured)['categories']
    wanted = np.diag(joined) / (joined.sum(0) + joined.sum(1) - np.diag(joined))
    np.testing.assert_allclose(list(found['iou'].values()), 100 * wanted)
    assert list(found['iou']) == ['flat', 'construction', 'object', 'nature', 'sky', 'human', 'vehicle']
    assert found['mean_iou'] == pytest.approx(100 * wanted.mean())


def test_categories_are_for_all_classes_or_none(tmp_path):
    row = (rows.ROWS / 'cityscapes.toml').read_text().replace(", category = 'sky'", '')
    (tmp_path / 'some.toml').write_text(row)
    with pytest.raises(ValueError, match='18 of 19 classes have a category'):
        rows.load(tmp_path / 'some.toml')
    assert rows.load('voc2012').categories == ()


def test_the_mean_of_checkpoints_is_evaluated_near_boundaries_on_the_first_images(raw, record_dir, tmp_path, capsys):
    folder = models.write_model_dir(models.tiny(), tmp_path / 'model')
    result = tmp_path / 'r.json'
    assert guarded(lambda: evaluate.main([
        '--model_dir', str(folder), '--checkpoint', 'average:2', '--data_dir', str(record_dir), '--result', str(result),
        '--evaluation.limit', '2', '--evaluation.trimap', '1,4', '--evaluation.trimap_around', 'edges'])) == 0
    found = json.loads(result.read_text())
    assert found['checkpoint']['mean_of'] == ['model.ckpt-3', 'model.ckpt-7']
    assert found['checkpoint']['global_step'] == 7
    assert found['data']['num_images'] == 2 and found['protocol']['first_images'] == 2
    listed = (raw / 'ImageSets/Segmentation/val.txt').read_text().split()
    assert found['data']['list_sha256'] == hashlib.sha256('\n'.join(listed[:2]).encode()).hexdigest()
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == (
        f'{folder}/average/model.ckpt-7-mean-2, step 7: synthetic val, 2 of 40 images; OS 16, first 2 images, float32')
    assert said.err.count('warning: only 2 of the 40 images of synthetic val') == 2  # before, and beside the score
    assert 'evaluation.limit = 2' in said.err
    pixels = [found['trimap']['widths'][width]['pixels'] for width in ('1', '4')]
    assert 0 < pixels[0] < pixels[1] < np.sum(found['confusion_matrix'])
    means = tf.train.load_checkpoint(str(tmp_path / found['checkpoint']['path']))
    sources = [tf.train.load_checkpoint(str(folder / name)) for name in found['checkpoint']['mean_of']]
    names = means.get_variable_to_shape_map()
    assert any('moving_mean' in name for name in names) and set(names) == set(sources[0].get_variable_to_shape_map())
    for name in names:
        wanted = [source.get_tensor(name).astype(np.float64) for source in sources]
        if name != 'global_step':
            np.testing.assert_allclose(means.get_tensor(name), sum(wanted) / 2, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(('choice', 'message'), [
    ('average:1', 'at least 2'), ('average:x', 'at least 2'),
    ('average:3', 'has 2 trained checkpoints; average as many')])
def test_what_cannot_be_averaged_is_refused(tmp_path, choice, message):
    for step in (0, 3, 7):  # that of step 0 was never trained
        models.save({'w': np.float32([step])}, tmp_path / f'model.ckpt-{step}')
    with pytest.raises(ValueError, match=message):
        averages.write(tmp_path, choice)
    with pytest.raises(ValueError, match='give --model_dir'):
        averages.write(None, 'average:2')
