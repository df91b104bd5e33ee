"""Rows of other public code against what that code does by default, or what its command or configuration file says."""

import pytest

from deeplab.recipes import recipe as recipes

ROWS = recipes.table()

# By the start of a row's citation: fields as the code named by `source` has them.
SAME = {
    'github.com/rishizek': {
        'init.checkpoint': 'catalog:resnet_v2_101', 'data.crop_size': (513, 513), 'data.scale_step': 0.0,
        'data.min_scale': 0.5, 'data.max_scale': 2.0, 'data.train_split': 'train_aug', 'data.flip': True,
        'model.output_stride': 16, 'batch_norm.mode': 'train', 'batch_norm.decay': 0.9997, 'loss.weight_decay': 2e-4,
        'loss.weight_decay_rule': 'all_trainable', 'loss.upsample_logits': True, 'optimizer.name': 'momentum',
        'optimizer.momentum': 0.9, 'schedule.policy': 'poly', 'schedule.learning_rate': 7e-3,
        'schedule.end_learning_rate': 1e-6, 'schedule.power': 0.9, 'schedule.decay_steps': 30000},
    'github.com/xlmou': {
        'init.checkpoint': '', 'data.crop_size': (320, 320), 'data.min_scale': 0.5, 'data.max_scale': 2.0,
        'data.scale_step': 0.25, 'data.train_split': 'train', 'loss.weight_decay': 5e-4,
        'loss.weight_decay_rule': 'conv_weights', 'optimizer.name': 'momentum', 'optimizer.momentum': 0.9,
        'schedule.policy': 'poly', 'schedule.learning_rate': 1e-3, 'schedule.end_learning_rate': 0.0,
        'schedule.power': 0.9, 'train.batch_size': 4, 'train.max_steps': 100001, 'train.save_steps': 5000,
        'train.seed': 1234},
    'github.com/irvingzhang0512': {
        'data.min_scale': 0.5, 'data.max_scale': 2.0, 'data.scale_step': 0.25, 'model.output_stride': 16,
        'batch_norm.mode': 'freeze', 'loss.weight_decay': 4e-5, 'loss.weight_decay_rule': 'all_trainable',
        'optimizer.name': 'adam', 'optimizer.beta1': 0.9, 'optimizer.beta2': 0.999, 'optimizer.epsilon': 1e-7,
        'schedule.policy': 'poly', 'schedule.end_learning_rate': 0.0, 'schedule.power': 0.9},
    'MMSegmentation': {
        'data.min_scale': 0.5, 'data.max_scale': 2.0, 'data.scale_step': 0.0, 'data.flip': True,
        'batch_norm.mode': 'train', 'batch_norm.decay': 0.9, 'loss.weight_decay': 5e-4,
        'loss.weight_decay_rule': 'all_trainable', 'optimizer.name': 'momentum', 'optimizer.momentum': 0.9,
        'schedule.policy': 'poly', 'schedule.learning_rate': 0.01, 'schedule.end_learning_rate': 1e-4,
        'schedule.power': 0.9, 'train.batch_size': 8},
}
# Nets of xlmou's whose logits are smaller than the image: labels are shrunk to them.
SHRUNK = ('deeplabv1', 'deeplabv2', 'deeplabv3', 'pspnet', 'icnet')


def rows_of(citation):
    return [name for name, row in ROWS.items() if row.citation.startswith(citation)]


@pytest.mark.parametrize(('citation', 'name'), [(citation, name) for citation in SAME for name in rows_of(citation)])
def test_fields_are_those_of_the_source(citation, name):
    row = ROWS[name]
    assert {path: recipes.get(row, path) for path in SAME[citation]} == SAME[citation]
    assert row.verified and '@' in row.source


def test_there_are_rows_of_each():
    assert [len(rows_of(citation)) for citation in SAME] == [2, 10, 3, 6]


@pytest.mark.parametrize('name', rows_of('github.com/xlmou'))
def test_xlmou_compares_at_the_size_of_the_logits(name):
    assert ROWS[name].loss.upsample_logits != (ROWS[name].model.net in SHRUNK)


@pytest.mark.parametrize('name', rows_of('github.com/rishizek'))
def test_rishizek_has_dense_convolutions_and_no_dropout(name):
    options = ROWS[name].model.options
    assert options == {'aspp_with_separable_conv': False, 'decoder_use_separable_conv': False, 'dropout': 0.0}


@pytest.mark.parametrize('name', [name for name, row in ROWS.items() if row.verified])
def test_what_was_compared_can_be_looked_up(name):
    """A repository at a commit, or a paper's section; not from memory."""
    assert '@' in ROWS[name].source or 'section' in ROWS[name].source
    assert 'from memory' not in ROWS[name].source
