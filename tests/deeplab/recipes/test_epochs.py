import pytest

from deeplab.recipes import epochs
from deeplab.recipes.recipe import override
from deeplab.recipes.schema import Recipe


def test_an_epoch_ends_with_the_step_that_completes_it():
    """43 epochs of 10,582 images in batches of 15, as rishizek/tensorflow-deeplab-v3-plus
    ran them; it rounded every epoch up, to 30,358 steps."""
    recipe = epochs.in_steps(override(Recipe(), {'train.epochs': 43}), 10582, 15)
    assert (recipe.train.max_steps, recipe.train.epochs) == (30336, 0)
    assert 15 * 30335 < 43 * 10582 <= 15 * 30336


def test_a_schedule_in_epochs_becomes_one_in_steps():
    recipe = override(Recipe(), {
        'schedule.unit': 'epochs', 'schedule.policy': 'piecewise', 'schedule.boundaries': (2, 4, 6),
        'schedule.values': (2.5e-3, 1e-3, 1e-4, 8e-5), 'schedule.warmup_steps': 1, 'schedule.slow_start_steps': 1,
        'schedule.step_size': 3, 'schedule.decay_steps': 10, 'schedule.start_step': 5, 'train.epochs': 10})
    schedule = epochs.in_steps(recipe, 367, 10).schedule
    assert schedule.boundaries == (74, 147, 221)
    assert (schedule.warmup_steps, schedule.slow_start_steps, schedule.step_size) == (37, 37, 111)
    assert (schedule.decay_steps, schedule.start_step, schedule.unit) == (367, 184, 'steps')
    assert (schedule.values, schedule.learning_rate) == (recipe.schedule.values, recipe.schedule.learning_rate)


def test_what_was_resolved_stays_as_it_is():
    recipe = override(Recipe(), {'schedule.unit': 'epochs', 'schedule.step_size': 1, 'train.epochs': 0.5})
    resolved = epochs.in_steps(recipe, 367, 10)
    assert resolved != recipe and epochs.in_steps(resolved, 999, 3) == resolved
    assert epochs.in_steps(Recipe(), 367, 10) == Recipe()


def test_neither_steps_nor_epochs_is_refused():
    with pytest.raises(ValueError, match='train.max_steps is 0 and train.epochs 0.0: give one of them'):
        epochs.in_steps(override(Recipe(), {'train.max_steps': 0}), 367, 10)


def test_a_flag_of_steps_wins_over_a_row_of_epochs_and_the_other_way_round():
    row = override(Recipe(), {'train.epochs': 43})
    assert (row.train.max_steps, row.train.epochs) == (0, 43)
    assert override(row, {'train.max_steps': '2'}) == override(Recipe(), {'train.max_steps': 2})
    assert override(Recipe(), {'train.epochs': '43'}) == row
