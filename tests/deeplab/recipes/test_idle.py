"""What a command is told of fields that do nothing."""

import dataclasses

import pytest

from deeplab import model_fn, run
from deeplab.command import flags
from deeplab.compat import tf
from deeplab.optimizer import OPTIMIZERS, learning_rate
from deeplab.recipes import idle
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from tests import models

SECTIONS = [field.name for field in dataclasses.fields(Recipe) if dataclasses.is_dataclass(field.type)]


def recording(recipe, read):
    """The recipe, whose sections add the paths of the fields that are asked for to `read`."""
    def recorder(name):
        section = getattr(recipe, name)
        names = {field.name for field in dataclasses.fields(section)}

        class Recorder(type(section)):
            def __getattribute__(self, field):
                if field in names:
                    read.add(f'{name}.{field}')
                return super().__getattribute__(field)
        return Recorder(**{field: getattr(section, field) for field in names})
    return dataclasses.replace(recipe, **{name: recorder(name) for name in SECTIONS})


@pytest.mark.parametrize('mode', [model_fn.MODES.EVAL, model_fn.MODES.PREDICT])
def test_trained_weights_are_used_without_what_is_of_training_alone(mode):
    read = set()
    resolved = dataclasses.replace(run.resolve(models.tiny()), recipe=recording(models.tiny(), read))
    with tf.Graph().as_default():
        features = {'image': tf.zeros([1, 65, 65, 3]), 'filename': tf.constant(['a']), 'number': tf.constant([0])}
        model_fn.model_fn(features, tf.zeros([1, 65, 65], tf.int32), mode, {'run': resolved})
    assert {'model.image_pyramid', 'evaluation.scales'} <= read
    assert not {path for path in read if idle._of_training_alone(path)}


POLICIES = {path for path in idle.NEEDS if path.startswith('schedule.') and 'slow' not in path}


@pytest.mark.parametrize('policy', recipes.fields()['schedule.policy'].metadata['choices'])
def test_a_policy_reads_what_it_needs_and_nothing_else(policy):
    """But for the length of a decay, which is worked out for all."""
    read = set()
    made = recording(recipes.override(Recipe(), {'schedule.policy': policy, 'schedule.boundaries': (1,),
                                                 'schedule.values': (1.0, 2.0)}), read)
    with tf.Graph().as_default():
        learning_rate(made.schedule, tf.constant(3), 10)
    wanted = {path for path in POLICIES if idle.NEEDS[path][1](policy)}
    assert read & POLICIES - {'schedule.decay_steps'} == wanted - {'schedule.decay_steps'}


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_an_optimizer_reads_what_it_needs_and_nothing_else(name):
    read = set()
    with tf.Graph().as_default():
        made = recording(recipes.override(Recipe(), {'optimizer.name': name}), read)
        OPTIMIZERS[name](tf.constant(0.1), made.optimizer)
    fields = {path for path in idle.NEEDS if path.startswith('optimizer.')}
    assert read & fields == {path for path in fields if idle.NEEDS[path][1](name)}


@pytest.mark.parametrize(('given', 'said'), [
    ({'schedule.power': 2}, ''), ({'schedule.power': 2, 'schedule.policy': 'step'},
                                  "schedule.power does nothing with schedule.policy = 'step'"),
    ({'evaluation.fusion': 'max'}, 'evaluation.fusion does nothing with one scale'),
    ({'evaluation.fusion': 'max', 'evaluation.flip': True}, ''),
    ({'evaluation.tile_overlap': 0.5}, 'evaluation.tile_overlap does nothing with evaluation.tile_size = ()'),
    ({'init.head': False}, "init.head does nothing with init.checkpoint = ''"),
    ({'optimizer.beta1': 0.9}, ''),  # the default
])
def test_a_command_is_told_of_a_field_that_does_nothing(given, said, capsys):
    flags.choose_recipe(None, None, given)
    told = capsys.readouterr().err
    assert f'note: {said}' in told if said else not told


def test_a_command_on_trained_weights_is_told_of_fields_of_training(tmp_path, capsys):
    recipes.write_json(Recipe(), tmp_path / 'recipe.json')
    flags.choose_trained_recipe(None, str(tmp_path), {'train.batch_size': 3, 'evaluation.flip': True,
                                                      'data.min_resize': 9, 'evaluation.min_resize': 9})
    assert capsys.readouterr().err == 'note: train.batch_size is of training alone, and changes nothing here\n'


def test_the_fields_that_are_named_exist():
    known = recipes.fields()
    decisive = {other for other, _ in idle.NEEDS.values()}
    assert set(idle.NEEDS) | decisive | set(idle.ELSEWHERE_TOO) <= set(known)
