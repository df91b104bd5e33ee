"""What every loss of the table has to be: for any labels finite, without a gradient where there is no class, lower
after training."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from deeplab import losses
from deeplab.compat import tf
from deeplab.model_fn import MODES, _losses, model_fn
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Loss
from deeplab.run import resolve
from tests import models

IGNORE, CLASSES = 255, 4
FIELDS = {field.name: field.default for field in dataclasses.fields(Loss)}
# A value unlike the default for each field that only some losses have.
OTHER = {option: FIELDS[option] / 2 or {float: 0.5, int: 1}[type(FIELDS[option])]
         for option in dict.fromkeys(option for name in losses.LOSSES for option in losses.options_of(name))}


def batch(logits, labels, label_weights=None):
    """Of NumPy's arrays, in their precision."""
    labels, is_class = np.ravel(labels), np.ravel((labels >= 0) & (labels < CLASSES) & (labels != IGNORE))
    return losses.Batch(tf.constant(logits.reshape(-1, CLASSES)), tf.constant(np.where(is_class, labels, 0)),
                        tf.constant(is_class), tf.constant(labels != IGNORE), label_weights, None)


def drawn(seed=0, count=30):
    """Float64 logits [P,C] and labels [P]: all classes but the last, ignored ones, and one that is neither."""
    random = np.random.RandomState(seed)
    labels = random.randint(0, CLASSES - 1, count).astype(np.int32)
    labels[:4], labels[4] = IGNORE, 77
    return random.normal(0, 2, (count, CLASSES)), labels


def value_and_gradient(name, logits, labels, **options):
    with tf.Graph().as_default(), tf.Session() as session:
        seen = batch(logits, labels, options.pop('label_weights', None))
        value = losses.LOSSES[name](seen, **options)
        return session.run([value, tf.gradients(value, seen.logits)[0]])


def test_options_are_fields_of_a_recipe_with_the_same_default():
    assert len(losses.LOSSES) > 3
    assert len(OTHER) > 5 and all(OTHER[option] != FIELDS[option] for option in OTHER)
    for name in losses.LOSSES:
        with tf.Graph().as_default():
            by_default = losses.LOSSES[name](batch(*drawn()))
            by_recipe = losses.LOSSES[name](batch(*drawn()), **{o: FIELDS[o] for o in losses.options_of(name)})
            with tf.Session() as session:
                assert session.run(by_default) == session.run(by_recipe)


@pytest.mark.parametrize('option', OTHER)
def test_a_recipe_cannot_set_what_its_loss_does_not_have(option):
    having = [name for name in losses.LOSSES if option in losses.options_of(name)]
    for name in losses.LOSSES:
        chosen = models.tiny(loss__name=name, **{f'loss__{option}': OTHER[option]})
        if name in having:
            resolve(chosen)
            continue
        with pytest.raises(ValueError, match=f"^loss.{option} = {OTHER[option]} does nothing for loss.name = '{name}', "
                                             f"only for {', '.join(having)}; leave it at {FIELDS[option]}"):
            resolve(chosen)


@pytest.mark.parametrize('name', losses.LOSSES)
def test_the_gradient_equals_finite_differences(name):
    logits, labels = drawn()
    _, gradient = value_and_gradient(name, logits, labels)
    expected = np.zeros(logits.shape)
    with tf.Graph().as_default(), tf.Session() as session:
        moved = tf.placeholder(tf.float64, logits.shape)
        value = losses.LOSSES[name](batch(logits, labels)._replace(logits=moved))
        for index in np.ndindex(logits.shape):
            step = np.zeros(logits.shape)
            step[index] = 1e-5
            ends = [session.run(value, {moved: logits + sign * step}) for sign in (1, -1)]
            expected[index] = (ends[0] - ends[1]) / 2e-5
    assert gradient.dtype == np.float64 and np.abs(gradient).max() > 1e-3
    np.testing.assert_allclose(gradient, expected, atol=1e-9)


@pytest.mark.parametrize('name', losses.LOSSES)
def test_pixels_without_a_class_have_no_gradient_and_their_logits_no_say(name):
    logits, labels = drawn()
    value, gradient = value_and_gradient(name, logits, labels)
    nothing = (labels == IGNORE) | (labels == 77)
    assert nothing.sum() == 5 and (gradient[nothing] == 0).all() and (gradient[~nothing] != 0).any(-1).all()
    logits[nothing] = 50 * np.eye(CLASSES)[0]
    assert value_and_gradient(name, logits, labels)[0] == value


@pytest.mark.parametrize('name', losses.LOSSES)
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_a_batch_without_a_class_costs_nothing_and_moves_nothing(name, dtype):
    logits, labels = drawn()
    for nothing in (IGNORE, 77):
        value, gradient = value_and_gradient(name, logits.astype(dtype), np.full_like(labels, nothing))
        assert value == 0 and (gradient == 0).all()


@pytest.mark.parametrize('name', losses.LOSSES)
def test_sure_logits_have_finite_gradients(name):
    """At probabilities of 0 and 1, right and wrong."""
    labels = np.arange(CLASSES, dtype=np.int32)
    for shift in (0, 1):
        logits = 200 * np.eye(CLASSES, dtype=np.float32)[(labels + shift) % CLASSES]
        value, gradient = value_and_gradient(name, logits, labels)
        assert np.isfinite(value) and np.isfinite(gradient).all()
        assert value == 0 if shift == 0 else value > 0.5


@pytest.mark.parametrize('name', losses.LOSSES)
def test_a_weight_scales_what_its_class_costs(name):
    """Weights add up: w times one class's loss and nothing of the others, summed, is the weighted loss."""
    logits, labels = drawn()
    weights = (0.5, 2.0, 3.0, 1.0)
    alone = [value_and_gradient(name, logits, labels, label_weights=tuple(np.eye(CLASSES)[c]))[0]
             for c in range(CLASSES)]
    assert alone[3] == 0 and min(alone[:3]) > 0  # the last class isn't there
    whole, gradient = value_and_gradient(name, logits, labels, label_weights=weights)
    np.testing.assert_allclose(whole, np.dot(weights, alone), rtol=1e-12)
    np.testing.assert_allclose(value_and_gradient(name, logits, labels)[0], sum(alone), rtol=1e-12)
    assert (gradient[labels == IGNORE] == 0).all()


@pytest.mark.parametrize('name', losses.LOSSES)
def test_training_lowers_it(name):
    chosen = resolve(models.tiny(
        loss__name=name, train__batch_size=2, optimizer__name='adam', schedule__learning_rate=0.01,
        model__net='deeplabv3', model__options={'aspp_convs_filters': 16},
        model__backbone='resnet_v1_18', model__backbone_options={'width_multiplier': 0.125}))
    labels = np.kron([[[0, 1], [2, 3]], [[3, 3], [0, 1]]], np.ones((17, 17), int))[:, :33, :33].astype(np.int32)
    images = (labels[..., None] * [30, 20, 10] + 40).astype(np.float32)
    labels[:, :3] = chosen.dataset.ignore_label
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.set_random_seed(1)
        numbers = 2 * tf.train.get_or_create_global_step() + tf.range(2, dtype=tf.int64)
        features = {'image': tf.constant(images), 'filename': tf.constant(['a', 'b']), 'number': numbers}
        spec = model_fn(features, tf.constant(labels), MODES.TRAIN, {'run': chosen})
        shown = graph.get_operation_by_name(f'losses/{name}').inputs[1]  # TensorBoard's scalar
        session.run(tf.global_variables_initializer())
        course = [session.run([shown, spec.train_op])[0] for _ in range(10)]
    assert course[-1] < 0.9 * course[0], course


def parts_of_a_training(outputs, labels, **fields):
    """The losses that training adds up: {part: value}."""
    chosen = resolve(models.tiny(**fields))
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable('layer/weights', [1])
        return session.run({name: value for name, value in _losses(chosen, outputs, tf.constant(labels), None).items()
                            if name != 'weight_decay'})


def test_heads_have_the_same_loss_and_weights_of_their_own():
    random = np.random.RandomState(0)
    main, auxiliary = (random.normal(0, 1, (1, 3, 3, 6)).astype(np.float32) for _ in range(2))
    labels = random.randint(0, 6, (1, 3, 3)).astype(np.int32)
    weights = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    outputs = SimpleNamespace(logits=main, weight=0.25, aux={'aux': (auxiliary, 0.4)})
    parts = parts_of_a_training(outputs, labels, loss__name='dice', loss__label_weights=weights)
    with tf.Graph().as_default(), tf.Session() as session:
        alone = session.run([losses.loss(tf.constant(logits), tf.constant(labels), IGNORE, 'dice',
                                         label_weights=weights) for logits in (main, auxiliary)])
    assert alone[0] != alone[1]
    assert parts == {'dice': np.float32(0.25) * alone[0], 'aux': np.float32(0.4) * alone[1]}


# Where two fields go together, the other one; the share of a ramp needs a step, which other tests have.
BESIDE = {'bootstrap_min_kept': {'bootstrap_threshold': 1e-6}}


@pytest.mark.parametrize('option', [option for option in OTHER if option != 'top_k_ramp_steps'])
def test_training_has_the_options_of_its_recipe(option):
    random = np.random.RandomState(0)
    logits = random.normal(0, 2, (1, 3, 3, 6)).astype(np.float32)
    labels = random.randint(0, 6, (1, 3, 3)).astype(np.int32)
    name = next(name for name in losses.LOSSES if option in losses.options_of(name))
    options = BESIDE.get(option, {}) | {option: OTHER[option]}
    outputs = SimpleNamespace(logits=logits, weight=1.0, aux={})
    found = parts_of_a_training(outputs, labels, loss__name=name, **{f'loss__{o}': v for o, v in options.items()})
    with tf.Graph().as_default(), tf.Session() as session:
        plain, expected = session.run([losses.loss(tf.constant(logits), tf.constant(labels), IGNORE, name, **given)
                                       for given in (BESIDE.get(option, {}), options)])
    assert found[name] == expected and expected != plain


def test_a_run_that_began_before_losses_had_names_goes_on(tmp_path):
    old = recipes.to_dict(models.tiny())
    for field in ('name', 'focal_gamma'):
        del old['loss'][field]
    (tmp_path / 'recipe.json').write_text(json.dumps(old))
    found = recipes.read_json(tmp_path / 'recipe.json')
    assert found == models.tiny() and not recipes.difference(found, models.tiny())
    assert recipes.difference(found, models.tiny(loss__name='dice')) == ["loss.name: 'cross_entropy' -> 'dice'"]
