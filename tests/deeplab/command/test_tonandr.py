"""The JSON of tonandr/ai-platform as a recipe: the README's own, variations of it, and what a hostile file may try."""

import copy
import json
import re

import pytest

from deeplab import run
from deeplab.command import tonandr
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.recipes import recipe
from tests.paths import shared

CONF = {
    'mode': 'train', 'raw_data_path': '.', 'model_loading': False, 'multi_gpu': False, 'num_gpus': 4,
    'hps': {'lr': 0.0001, 'beta_1': 0.5, 'epochs': 120, 'batch_size': 6},
    'nn_arch': {'output_stride': 8, 'image_size': 65, 'num_classes': 21, 'mv2_depth_multiplier': 0.1,
                'conv_rate_multiplier': 2, 'reduction_size': 8, 'dropout_rate': 0.1, 'concat_channels': 12,
                'encoder_middle_conf': [
                    {'kernel': 3, 'rate': [1, 6], 'op': 'conv', 'input': -1},
                    {'kernel': 1, 'rate': [1, 1], 'op': 'conv', 'input': 0},
                    {'kernel': 4, 'target_size_factor': [4, 4], 'op': 'pyramid_pooling', 'input': -1}]},
}


def read(tmp_path, **changes):
    """The task of CONF with values replaced; `changes` by path, with '__' for the dot."""
    conf = copy.deepcopy(CONF) | {'raw_data_path': str(tmp_path)}
    for path, value in changes.items():
        *sections, name = path.split('__')
        target = conf
        for section in sections:
            target = target[section]
        target[name] = value
    path = tmp_path / tonandr.README_NAME
    path.write_text(json.dumps(conf))
    return tonandr.read(path)


def test_the_json_of_the_readme_is_the_row(tmp_path):
    text = shared('reference', 'seed_readmes', '004.md').read_text()
    content = json.loads(re.search(r'```\s*(\{.*?\})\s*```', text, re.DOTALL)[1])
    assert tonandr.README_NAME in text
    path = tmp_path / tonandr.README_NAME
    path.write_text(json.dumps(content | {'raw_data_path': str(tmp_path)}))
    task = tonandr.read(tonandr.find(tmp_path))
    assert task.recipe == recipe.load(tonandr.ROW)
    assert (task.mode, task.folder, task.devices) == ('train', tmp_path, 'auto')
    assert run.resolve(task.recipe).net.name == 'deeplabv3'


def test_the_network_is_the_one_described(tmp_path):
    made = run.resolve(read(tmp_path).recipe)
    with tf.Graph().as_default() as graph, model_scope(training=False):
        images = tf.placeholder(tf.float32, [1, 65, 65, 3])
        logits = made.net(images, 21, made.backbone, training=False, output_stride=8, **made.net_options).logits
        shapes = {v.op.name: v.shape.as_list() for v in tf.global_variables()}
        rates = [tf.get_static_value(op.inputs[1]).tolist() for op in graph.get_operations()
                 if op.type == 'SpaceToBatchND']
        pool, = [op for op in graph.get_operations() if op.type == 'AvgPool']
    assert logits.shape.as_list() == [1, 9, 9, 21]
    assert 'MobilenetV2/expanded_conv_5/project/weights' in shapes
    assert not any('expanded_conv_6' in name for name in shapes)
    assert shapes['meta_architecture/branch1/weights'][-1] == 8
    assert shapes['meta_architecture/concat_projection/weights'] == [1, 1, 24, 12]
    assert rates == [[2, 12]]
    assert pool.get_attr('ksize') == pool.get_attr('strides') == [1, 4, 4, 1]


def test_output_stride_16_ends_later_and_multiplies_as_told(tmp_path):
    model = read(tmp_path, nn_arch__output_stride=16, nn_arch__conv_rate_multiplier=1).recipe.model
    assert model.backbone_options['blocks'] == 13 and model.options['cell_rates_stride'] == 16


def test_gpus_are_used_when_asked_for(tmp_path):
    assert [read(tmp_path, multi_gpu=True, num_gpus=count).devices for count in (1, 2)] == ['gpu:0', 'gpu:0,gpu:1']
    assert read(tmp_path, multi_gpu=False, num_gpus=4).devices == 'auto'


@pytest.mark.parametrize(('changes', 'message'), [
    ({'hps__learning_rate': 1}, "unknown key 'hps.learning_rate'; .*hps.lr"),
    ({'nn_arch__output_strides': 8}, 'did you mean nn_arch.output_stride'),
    ({'mode': 'test'}, 'choices: train, evaluate'),
    ({'hps': 3}, 'hps is 3; it must be an object'),
    ({'hps__lr': float('nan')}, 'hps.lr is nan'),
    ({'hps__batch_size': 10**9}, 'hps.batch_size is 1000000000; it must be a whole number, from 1 to 4096'),
    ({'hps__batch_size': True}, 'hps.batch_size is True'),
    ({'hps__decay': 0.1}, 'hps.decay is 0.1; it must be a number, 0'),
    ({'hps__bn_scale': False}, 'set it to true'),
    ({'nn_arch__num_classes': 19}, 'nn_arch.num_classes is 19; it must be a whole number, 21'),
    ({'nn_arch__output_stride': 12}, 'choices: 8, 16'),
    ({'nn_arch__image_size': 10**6}, 'nn_arch.image_size is 1000000'),
    ({'nn_arch__encoder_middle_conf': []}, 'has 0 branches'),
    ({'nn_arch__encoder_middle_conf': [{'op': 'conv'}] * 65}, 'has 65 branches'),
    ({'nn_arch__encoder_middle_conf': ['conv']}, "is 'conv'; it must be an object"),
    ({'nn_arch__encoder_middle_conf': [{'op': ['conv'], 'input': -1}]}, 'choices: conv, pyramid_pooling'),
    ({'nn_arch__encoder_middle_conf': [{'op': 'conv', 'input': 0, 'kernel': 3, 'rate': [1, 1]}]}, 'may be -1 to -1'),
    ({'nn_arch__encoder_middle_conf': [{'op': 'conv', 'input': -1, 'kernel': 3, 'rate': [1, 10**9]}]}, r'\[0\].rate'),
    ({'nn_arch__encoder_middle_conf': [{'op': 'conv', 'input': -1, 'kernel': 3, 'rate': 6}]}, 'height, width'),
    ({'nn_arch__encoder_middle_conf': [{'op': 'conv', 'input': -1, 'kernel': 3, 'rates': [1, 1]}]}, 'it needs'),
    ({'raw_data_path': 'D:\\workspace'}, 'is not a folder: write there the one that holds VOCdevkit'),
])
def test_what_cannot_be_is_refused_by_name(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message) as refused:
        read(tmp_path, **changes)
    assert tonandr.README_NAME in str(refused.value)


@pytest.mark.parametrize('text', ['', '[]', '{', '{"mode": "train"}', '[' * 100000])
def test_a_broken_file_is_refused(tmp_path, text):
    path = tmp_path / tonandr.README_NAME
    path.write_text(text)
    with pytest.raises(ValueError, match=tonandr.README_NAME):
        tonandr.read(path)


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / tonandr.README_NAME
    path.write_text(' ' * (tonandr.MAX_BYTES + 1))
    with pytest.raises(ValueError, match='not a configuration'):
        tonandr.read(path)


def test_the_json_of_a_folder_is_found(tmp_path):
    with pytest.raises(ValueError, match='--conf'):
        tonandr.find(tmp_path)
    other = tmp_path / 'semantic_segmentation_deeplabv3plus_conf_lnx.json'
    other.touch()
    assert tonandr.find(tmp_path) == other
    (tmp_path / tonandr.README_NAME).touch()
    assert tonandr.find(tmp_path).name == tonandr.README_NAME


def test_every_number_sets_a_field_that_exists():
    known = recipe.fields()
    for path, key in tonandr.KEYS.items():
        entry = key.field.startswith(('model.options.', 'model.backbone_options.'))
        assert not key.field or entry or key.field in known, path
