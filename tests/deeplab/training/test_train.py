"""What the runner makes of a Run before training: class weights from the manifest, variables of the graph."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from deeplab import run
from deeplab.compat import tf
from deeplab.layers.conv import biases, conv2d
from deeplab.recipes.schema import Train
from deeplab.training import train
from deeplab.training.estimators import model_variables
from tests import models


def index(**manifest):
    return SimpleNamespace(manifest=manifest)


def resolved(**changes):
    return run.resolve(models.tiny(**changes))


def weights_of(chosen, records):
    return train._weighted(chosen, records).recipe.loss.label_weights


def test_class_weights_come_from_the_training_split():
    counts = [2 ** i for i in range(resolved().num_classes)]
    shares = [count / sum(counts) for count in counts]
    found = weights_of(resolved(loss__class_weights='enet'), index(class_pixels=counts))
    assert found == pytest.approx([1 / math.log(1.02 + share) for share in shares])
    shown = [sum(counts)] * len(counts)
    found = weights_of(resolved(loss__class_weights='median_frequency'),
                       index(class_pixels=counts, class_image_pixels=shown))
    assert found[0] / found[-1] == pytest.approx(counts[-1] / counts[0])
    assert weights_of(resolved(), index(class_pixels=counts)) == ()


def test_a_resumed_run_has_the_weights_that_it_recorded():
    records = index(class_pixels=[10] * resolved().num_classes)
    first = train._weighted(resolved(loss__class_weights='enet'), records)
    assert train._weighted(first, records) == first
    others = index(class_pixels=list(range(1, resolved().num_classes + 1)))
    with pytest.raises(ValueError, match='label_weights differ from what loss.class_weights = enet makes'):
        train._weighted(first, others)


def test_class_weights_need_a_manifest_that_has_them():
    chosen = resolved(loss__class_weights='median_frequency')
    with pytest.raises(ValueError, match='needs the class pixels of the manifest'):
        train._weighted(chosen, SimpleNamespace(manifest=None))
    with pytest.raises(ValueError, match='no class_image_pixels'):
        train._weighted(chosen, index(class_pixels=[1] * chosen.num_classes))


def test_training_has_the_variables_of_evaluation_and_those_of_auxiliary_heads():
    chosen = resolved()

    def with_auxiliary_head(images, num_classes, backbone, *, training, **options):
        outputs = chosen.net(images, num_classes, backbone, training=training, **options)
        if not training:
            return outputs
        extra = conv2d(outputs.logits, num_classes, 1, scope='auxiliary', activation=None, normalizer=biases,
                       initializer=tf.zeros_initializer())
        return outputs._replace(aux={'auxiliary': (extra, 0.4)})

    changed = dataclasses.replace(chosen, net=dataclasses.replace(chosen.net, build=with_auxiliary_head))
    plain, full = model_variables(changed), model_variables(changed, training=True)
    assert plain == model_variables(chosen)
    extra = full.keys() - plain.keys() - {'global_step'}  # which dropout counts by
    assert extra == {'auxiliary/weights', 'auxiliary/biases'}
    assert plain.items() - {('global_step', ())} <= full.items()


@pytest.mark.parametrize(('changes', 'variables', 'warned'), [
    ({'init__head': False}, ['classify/weights'], 'init.head = false will do nothing'),
    ({'optimizer__last_layer_multiplier': 5.0}, ['decoder/weights'], ''),
    ({'optimizer__last_layer_multiplier': 5.0, 'optimizer__last_layers_contain_logits_only': True}, ['decoder/weights'],
     'optimizer.last_layer_multiplier = 5 will do nothing: deeplabv3plus has no variable with logits in its name'),
    ({}, ['classify/weights'], '')])
def test_what_is_asked_for_last_layers_that_a_net_has_not_is_said(changes, variables, warned, capsys):
    train._warn_of_no_last_layers(resolved(**changes), variables)
    said = capsys.readouterr().err
    assert warned in said if warned else not said


@pytest.mark.parametrize(('batch', 'mode', 'variables', 'warned'), [
    (2, 'train', ['a/weights', 'a/BatchNorm/moving_mean'], True),
    (12, 'train', ['a/weights', 'a/BatchNorm/moving_mean'], False),
    (2, 'freeze_statistics', ['a/weights', 'a/BatchNorm/moving_mean'], False),
    (2, 'train', ['a/weights', 'a/biases'], False)])
def test_a_small_batch_is_warned_of_where_batch_norm_is_trained(batch, mode, variables, warned, capsys):
    train._warn_of_small_batches(resolved(train__batch_size=batch, batch_norm__mode=mode), variables)
    assert (f'batch norm is trained on {batch} images' in capsys.readouterr().err) == warned


@pytest.mark.parametrize(('step', 'eval_steps', 'known', 'evaluated'), [
    (20, 10, [], True), (20, 10, [20], False), (20, 7, [], False), (20, 0, [], False), (0, 10, [], False),
    (40, 0, [], True), (40, 0, [40], False), (40, 7, [20], True)])
def test_a_step_that_a_kill_left_without_a_score_is_evaluated(tmp_path, step, eval_steps, known, evaluated, capsys):
    if step:
        models.save({'global_step': np.int64(step)}, tmp_path / f'model.ckpt-{step}')
    calls = []

    class Estimator:
        model_dir = str(tmp_path)
        latest_checkpoint = staticmethod(lambda: f'{tmp_path}/model.ckpt-{step}')

        def evaluate(self, input_fn, **given):
            calls.append((input_fn, given))
            return {'mean_iou': 0.5}

    exported = []
    best = SimpleNamespace(knows=known.__contains__, export=lambda *given: exported.append(given))
    options = Train(max_steps=40, eval_steps=eval_steps)
    spec = SimpleNamespace(input_fn='images', hooks=('hook',), name='named')
    chosen = Estimator()
    train._evaluate_what_is_left(chosen, spec, options, best)
    prefix = f'{tmp_path}/model.ckpt-{step}'
    assert calls == [('images', {'hooks': ('hook',), 'checkpoint_path': prefix, 'name': 'named'})] * evaluated
    assert exported == [(chosen, '', prefix, {'mean_iou': 0.5}, False)] * evaluated
    assert (f'step {step} is yet to be evaluated' in capsys.readouterr().err) == evaluated


def test_of_several_workers_none_evaluates_what_is_left(tmp_path, monkeypatch):
    models.save({'global_step': np.int64(40)}, tmp_path / 'model.ckpt-40')
    monkeypatch.setattr(train, 'worker', lambda: (0, 2))
    calls = []
    chosen = SimpleNamespace(model_dir=str(tmp_path), evaluate=lambda *given, **options: calls.append(given))
    train._evaluate_what_is_left(chosen, None, Train(max_steps=40), SimpleNamespace(knows=lambda step: False))
    assert not calls
