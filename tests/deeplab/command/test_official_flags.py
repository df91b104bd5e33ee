"""Every flag of the official DeepLab has its effect here: on the recipe by meaning, on rates, on updates of weights."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from deeplab import optimizer
from deeplab.command import aliases
from deeplab.compat import tf
from deeplab.recipes import recipe as recipes
from tests.deeplab import oracle
from tests.deeplab.command import parsed
from tests.deeplab.command.official import ROWS
from tests.deeplab.command.parsed import assert_seen, meaning

FLAGS = json.loads((Path(__file__).parent / 'official_flags.json').read_text())
TABLE = aliases.load()
MAINS = {  # theirs -> ours, and what a command of theirs always has, or ours needs
    'train': ('train', ['--train_logdir=logs']),
    'eval': ('evaluate', ['--checkpoint_dir=logs', '--eval_logdir=logs/eval']),
    'vis': ('inference', ['--checkpoint_dir=logs', '--vis_logdir=logs/vis', '--input', 'image.jpg']),
    'export_model': ('export_model', ['--checkpoint_path=logs/model.ckpt', '--export_path=logs/graph.pb']),
}
EVERY = [row for rows in ROWS.values() for row in rows]


pytestmark = pytest.mark.usefixtures('tables_read_once')


def command(main, arguments):
    ours, always = MAINS[main]
    return parsed.command(ours, [*always, *arguments])


DEFAULTS = recipes.load('deeplabv3_mnv2_voc_official')


@pytest.mark.parametrize('row', EVERY, ids=lambda row: f'{row.main} {row.flags[:60]}')
def test_a_flag_is_seen(row, capsys):
    assert_seen(row, *MAINS[row.main], capsys)


def test_every_official_flag_has_its_row():
    seen = {(file, row.name) for file, rows in ROWS.items() for row in rows}
    wanted = {(file, flag) for file in ROWS for flag in FLAGS[file]}
    assert seen == wanted and len({flag for _, flag in wanted}) == 103
    assert all(row.main == file.removesuffix('.py') for file, rows in ROWS.items() for row in rows
               if file != 'common.py')


# Here an exported model predicts at the stride that it was trained with.
OTHER_DEFAULTS = {('export_model', 'output_stride')}
GIVEN = [(main, flag, default) for main in MAINS for file in ('common.py', f'{main}.py')
         for flag, default in FLAGS[file].items() if default is not None and (main, flag) not in OTHER_DEFAULTS]


@pytest.mark.parametrize('main', MAINS)
def test_a_flag_with_its_default_changes_nothing(main):
    given = [(flag, default) for each, flag, default in GIVEN if each == main]
    assert len(given) >= 30
    wanted = meaning(DEFAULTS)
    for flag, default in given:
        values = default if isinstance(default, list) else [default]
        _, recipe = command(main, [f'--{flag}={value}' for value in values])
        assert meaning(recipe) == wanted, flag
    _, recipe = command(main, [f'--{flag}={value}' for flag, default in given
                               for value in (default if isinstance(default, list) else [default])])
    assert meaning(recipe) == wanted


MODEL_FLAGS = set(FLAGS['common.py']) - {
    'min_resize_value', 'max_resize_value', 'resize_factor', 'keep_aspect_ratio', 'image_pyramid', 'merge_method',
    'label_weights', 'batch_norm_decay', *(flag for flag in FLAGS['common.py'] if flag.startswith('nas_'))}


def test_flags_of_the_model_were_recorded_with_other_values():
    """What they build there is in the recorded configurations, to which ours are compared."""
    recorded = {flag.partition('=')[0].removeprefix('--')
                for manifest in oracle.manifests().values() for flag in manifest['flags']}
    assert MODEL_FLAGS and recorded >= MODEL_FLAGS


def official_rate(step, *, learning_policy='poly', base_learning_rate=1e-4, learning_rate_decay_step=2000,
                  learning_rate_decay_factor=0.1, training_number_of_steps=30000, learning_power=0.9, slow_start_step=0,
                  slow_start_learning_rate=1e-4, decay_steps=0.0, end_learning_rate=0.0, optimizer='momentum',
                  adam_learning_rate=0.001):
    """The rate that train.py gives to its optimizer, from the formulas in utils/train_utils.py."""
    if optimizer == 'adam':
        return adam_learning_rate
    if step < slow_start_step:
        return slow_start_learning_rate
    after = step - slow_start_step
    if learning_policy == 'step':
        return base_learning_rate * learning_rate_decay_factor ** (after // learning_rate_decay_step)
    length = decay_steps or training_number_of_steps - slow_start_step
    left = (1 - min(after, length) / length) ** learning_power
    return (base_learning_rate - end_learning_rate) * left + end_learning_rate


RATES = [
    {}, {'base_learning_rate': 0.007}, {'end_learning_rate': 1e-5, 'learning_power': 1.0}, {'decay_steps': 0.0},
    {'decay_steps': 20000.0, 'end_learning_rate': 1e-6}, {'training_number_of_steps': 500},
    {'slow_start_step': 100, 'slow_start_learning_rate': 1e-5}, {'slow_start_step': 100, 'decay_steps': 1000.0},
    {'learning_policy': 'step'},
    {'learning_policy': 'step', 'learning_rate_decay_step': 50, 'learning_rate_decay_factor': 0.5},
    {'learning_policy': 'step', 'slow_start_step': 100, 'end_learning_rate': 1e-5, 'decay_steps': 9.0},
    {'optimizer': 'adam'}, {'optimizer': 'adam', 'adam_learning_rate': 0.02, 'slow_start_step': 100},
    {'optimizer': 'adam', 'base_learning_rate': 0.007, 'learning_policy': 'step'},
    {'adam_learning_rate': 0.02}, {'optimizer': 'momentum', 'adam_learning_rate': 0.02},
]


@pytest.mark.parametrize('given', RATES, ids=str)
def test_the_rate_is_the_official_one_at_every_step(given):
    _, recipe = command('train', [f'--{flag}={value}' for flag, value in given.items()])
    steps = [0, 1, 49, 50, 99, 100, 101, 250, 499, 1999, 2000, 2100, 19999, 29999]
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        rate = optimizer.learning_rate(recipe.schedule, step, recipe.train.max_steps)
        found = [session.run(rate, {step: number}) for number in steps]
    wanted = [official_rate(number, **given) for number in steps]
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-12)
    assert not set(official_rate.__kwdefaults__) - set(FLAGS['train.py'])


def momentum(gradients, rate=0.5, momentum=0.9):
    weight = velocity = 0.0
    for gradient in gradients:
        velocity = momentum * velocity + gradient
        weight -= rate * velocity
    return weight


def adam(gradients, rate=0.5, epsilon=1e-8):
    """Kingma and Ba, 2015, arXiv:1412.6980, epsilon as in TensorFlow."""
    weight = first = second = 0.0
    for step, gradient in enumerate(gradients, 1):
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient ** 2
        corrected = rate * np.sqrt(1 - 0.999 ** step) / (1 - 0.9 ** step)
        weight -= corrected * first / (np.sqrt(second) + epsilon)
    return weight


@pytest.mark.parametrize(('arguments', 'wanted'), [
    ('', momentum), ('--momentum=0.5', lambda gradients: momentum(gradients, momentum=0.5)),
    ('--adam_epsilon=0.1', momentum), ('--optimizer=adam', adam), ('--optimizer=adam --momentum=0.5', adam),
    ('--adam_epsilon=0.1 --optimizer=adam', lambda gradients: adam(gradients, epsilon=0.1))])
def test_weights_are_updated_as_there(arguments, wanted):
    _, recipe = command('train', arguments.split())
    gradients = [1.0, -0.25, 3.0]
    with tf.Graph().as_default(), tf.Session() as session:
        weight, gradient = tf.Variable(0.0), tf.placeholder(tf.float32, [])
        update = optimizer.make_optimizer(recipe.optimizer, tf.constant(0.5)).apply_gradients([(gradient, weight)])
        session.run(tf.global_variables_initializer())
        for value in gradients:
            session.run(update, {gradient: value})
        np.testing.assert_allclose(session.run(weight), wanted(gradients), rtol=1e-5)


@pytest.mark.parametrize('arguments', [
    '--optimizer=adam --adam_learning_rate=0.01 --base_learning_rate=0.1 --slow_start_step=9',
    '--num_clones=2 --train_batch_size=6 --train_split=train_fine --dataset=cityscapes',
    '--model_variant=xception_65 --depth_multiplier=0.5 --use_bounded_activation --decoder_output_stride=4',
    '--output_stride=8 --atrous_rates=12,24 --decoder_filters=9',
    '--resize_factor=16 --min_resize_value=300 --max_resize_value=400',
    '--model_variant=nas_pnasnet --drop_path_keep_prob=0.5 --training_number_of_steps=70'])
def test_the_order_of_flags_does_not_matter(arguments):
    found = [meaning(command('train', order)[1]) for order in itertools.permutations(arguments.split())]
    assert all(other == found[0] for other in found[1:]) and found[0] != meaning(DEFAULTS)


def test_a_typed_field_wins_over_what_a_flag_means(capsys):
    for typed in (['--schedule.learning_rate', '0.3'], ['--learning_rate=0.3']):
        for order in (['--optimizer=adam', *typed], [*typed, '--optimizer=adam']):
            _, recipe = command('train', order)
            assert (recipe.schedule.learning_rate, recipe.schedule.policy) == (0.3, 'constant')
    own, _ = command('train', ['--devices', 'gpu:7', '--num_clones=2'])
    assert own.devices == 'gpu:7'


def test_adam_of_a_recipe_takes_the_flags_of_adam():
    _, recipe = command('train', ['--optimizer.name', 'adam', '--adam_learning_rate=0.02', '--adam_epsilon=0.1'])
    assert (recipe.schedule.learning_rate, recipe.schedule.policy, recipe.optimizer.epsilon) == (0.02, 'constant', 0.1)


def test_the_last_of_a_repeated_list_holds():
    _, recipe = command('train', ['--train_crop_size=321,321', '--train_crop_size=65,97'])
    assert recipe.data.crop_size == (65, 97)


def test_the_cell_of_a_file_is_in_the_recipe(tmp_path):
    cell = [{'op': 'conv', 'input': -1, 'kernel': 1}, {'op': 'conv', 'input': 0, 'kernel': [3, 3], 'rate': [1, 6]}]
    path = tmp_path / 'cell.json'
    path.write_text(json.dumps(cell))
    _, recipe = command('train', [f'--dense_prediction_cell_json={path}'])
    assert recipe.model.options['dense_prediction_cell'] == cell
    path.write_text('{')
    with pytest.raises(ValueError, match='cell.json: '):
        aliases.translate([f'--dense_prediction_cell_json={path}'], (), '', TABLE)


def test_official_records_of_cityscapes_keep_their_splits(tmp_path):
    (tmp_path / 'train_fine-00000-of-00010.tfrecord').touch()
    _, recipe = command('train', ['--train_split=train_fine', '--dataset=cityscapes', f'--dataset_dir={tmp_path}'])
    assert recipe.data.train_split == 'train_fine'
