"""train.py as users run it: killed, terminated, resumed, on two devices, with a NaN, with somebody else's model_dir."""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from deeplab.compat import tf
from tests.conftest import TINY, python
from tests.paths import ROOT

STEPS = 40


def train(record_dir, model_dir, *more, **options):
    return python(*command(record_dir, model_dir, *more), **options)


def command(record_dir, model_dir, *more):
    return ['train.py', '--recipe', 'demo', '--record_dir', record_dir, '--model_dir', model_dir, *TINY,
            '--max_steps', STEPS, '--train.save_steps', 5, '--train.eval_steps', 20, '--train.log_steps', 1, *more]


def start(record_dir, model_dir, *more, **options):
    arguments = [sys.executable, *map(str, command(record_dir, model_dir, *more))]
    return subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.PIPE, text=True, **options)


def wait_for(process, text):
    """Reads the process's status lines until one starts with `text`, and returns what was read."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith(text):
            return lines
    raise AssertionError(f'{text!r} never came:\n{"".join(lines)}')


def tensors(model_dir):
    """All tensors of a checkpoint or of a folder's newest one, optimizer slots and global step included."""
    reader = tf.train.load_checkpoint(str(model_dir))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_same_weights(one, other):
    """Bit for bit."""
    assert one.keys() == other.keys() and len(one) > 100
    assert not [name for name in one if not np.array_equal(one[name], other[name])]


@pytest.fixture(scope='module')
def uninterrupted(record_dir, tmp_path_factory):
    model_dir = tmp_path_factory.mktemp('uninterrupted')
    train(record_dir, model_dir)
    return model_dir


def test_a_run_killed_at_a_random_step_ends_in_the_same_weights(record_dir, uninterrupted, tmp_path):
    """Issue: SIGKILL at a random step and a restart change nothing, bit for bit."""
    expected = tensors(uninterrupted)
    assert expected['global_step'] == STEPS
    step = random.SystemRandom().randint(6, STEPS - 5)  # a new one every time: no step is special
    with start(record_dir, tmp_path) as process:
        wait_for(process, f'step {step}/')
        process.kill()
    killed_at = tensors(tmp_path)['global_step']
    assert step - 6 <= killed_at < STEPS, f'killed at step {step}, checkpoint of step {killed_at}'
    train(record_dir, tmp_path)
    assert_same_weights(expected, tensors(tmp_path))
    assert scores(tmp_path) == scores(uninterrupted)  # whichever evaluation the kill has cut
    (data,) = json.loads((tmp_path / 'training_data.json').read_text())
    assert data['list_sha256'] == json.loads((record_dir / 'train.manifest.json').read_text())['list_sha256']
    assert (data['from_step'], data['replicas'], data['images_per_step']) == (0, 1, 4)


@pytest.mark.slow
def test_a_run_killed_in_an_evaluation_makes_up_for_it(record_dir, uninterrupted, tmp_path):
    """By the newest checkpoint alone it is to be seen: of an evaluation there is nothing before its end."""
    for path in uninterrupted.iterdir():
        if path.name in ('recipe.json', 'checkpoint') or path.name.startswith(f'model.ckpt-{STEPS}'):
            shutil.copy(path, tmp_path)
    result = train(record_dir, tmp_path)
    assert f'step {STEPS} is yet to be evaluated' in result.stderr and 'nothing to train' in result.stderr
    expected = scores(uninterrupted)
    last = {'worse_steps': [], 'global_step': STEPS, 'mean_iou': last_score(uninterrupted)}
    assert scores(tmp_path) == expected | last
    assert {expected['global_step'], *expected['worse_steps']} == {20, STEPS}


def scores(model_dir):
    """What evaluations have left: the best score, its step, and those of the worse."""
    return json.loads((model_dir / 'best/best.json').read_text())


def last_score(model_dir):
    """The mean IoU of the last step in TensorBoard's events."""
    paths = map(str, model_dir.glob('eval_training_*/events*'))
    events = [event for path in paths for event in tf.train.summary_iterator(path)]
    return next(value.simple_value for event in events if event.step == STEPS for value in event.summary.value
                if value.tag == 'mean_iou')


def test_sigterm_writes_a_checkpoint_and_ends_with_143(record_dir, uninterrupted, tmp_path):
    with start(record_dir, tmp_path) as process:
        wait_for(process, 'step 12/')
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 143, rest
    stopped_at = tensors(tmp_path)['global_step']
    assert 12 <= stopped_at < STEPS
    train(record_dir, tmp_path)
    assert_same_weights(tensors(uninterrupted), tensors(tmp_path))


def test_a_finished_run_says_that_there_is_nothing_to_do(record_dir, uninterrupted):
    before = {path.name: path.stat().st_mtime_ns for path in uninterrupted.glob('model.ckpt*')}
    result = train(record_dir, uninterrupted, '--init', '/nowhere')
    assert 'nothing to train' in result.stderr and 'yet to be evaluated' not in result.stderr
    assert 'evaluations: synthetic val, 4 of 40 images; OS 16, float32\n' in result.stderr
    assert 'warning: only 4 of the 40 images of synthetic val are evaluated (the records hold no more)' in result.stderr
    assert [path.name for path in uninterrupted.glob('eval*')] == ['eval_training_val_os16']
    assert 'initialisation from /nowhere is skipped' in result.stderr
    assert before == {path.name: path.stat().st_mtime_ns for path in uninterrupted.glob('model.ckpt*')}


def test_another_recipe_is_refused_with_the_difference(record_dir, uninterrupted):
    before = (uninterrupted / 'recipe.json').read_bytes()
    result = train(record_dir, uninterrupted, '--learning_rate', '0.5', check=False)
    assert result.returncode == 2
    assert 'schedule.learning_rate: 0.003 -> 0.5' in result.stderr
    assert (uninterrupted / 'recipe.json').read_bytes() == before


def test_another_net_is_refused_before_training(record_dir, uninterrupted):
    result = train(record_dir, uninterrupted, '--model.options.decoder_filters', '24', '--allow_recipe_change',
                   check=False)
    assert result.returncode == 2
    assert 'belongs to another model' in result.stderr and '[24] here, [16] in the checkpoint' in result.stderr


def test_two_trainings_do_not_share_a_model_dir(record_dir, tmp_path):
    with start(record_dir, tmp_path) as process:
        wait_for(process, 'step ')
        second = train(record_dir, tmp_path, check=False)
        process.kill()
    assert second.returncode == 2
    assert f'is in use by process {process.pid}' in second.stderr


def test_nan_stops_with_the_files_and_no_poisoned_checkpoint(record_dir, tmp_path):
    result = train(record_dir, tmp_path, '--optimizer.name', 'sgd', '--learning_rate', '1e30', check=False)
    assert result.returncode == 1
    assert 'the loss is' in result.stderr and 'the batch was: train_000' in result.stderr
    assert all(np.all(np.isfinite(value)) for value in tensors(tmp_path).values())


def test_a_damaged_newest_checkpoint_is_passed_over(record_dir, uninterrupted, tmp_path):
    with start(record_dir, tmp_path) as process:
        wait_for(process, 'step 17/')
        process.kill()
    newest = tf.train.latest_checkpoint(str(tmp_path))
    data = tmp_path / (os.path.basename(newest) + '.data-00000-of-00001')
    data.write_bytes(data.read_bytes()[:-100])
    result = train(record_dir, tmp_path)
    assert f'{newest} cannot be read' in result.stderr
    assert_same_weights(tensors(uninterrupted), tensors(tmp_path))


def test_missing_records_are_refused_before_anything_is_built(tmp_path):
    begun = time.monotonic()
    result = train(tmp_path / 'nothing', tmp_path / 'model', check=False)
    assert result.returncode == 2 and 'datasets.convert' in result.stderr
    assert len(result.stderr.splitlines()) == 1, 'TensorFlow has something to say as well'
    assert not (tmp_path / 'model').exists()
    assert time.monotonic() - begun < 60


@pytest.mark.slow
def test_training_stops_after_evaluations_without_progress_and_stays_stopped(record_dir, tmp_path):
    still = ['--learning_rate', '0', '--train.early_stopping_evals', '2', '--train.eval_steps', '5',
             '--batch_norm.mode', 'freeze']
    first = train(record_dir, tmp_path, *still)
    assert '2 evaluations without a better one than mean IoU' in first.stderr
    assert tensors(tmp_path)['global_step'] == 15  # the best of step 5, then two more
    again = train(record_dir, tmp_path, *still)
    assert '2 evaluations without a better one' in again.stderr and 'step 16/' not in again.stderr
    train(record_dir, tmp_path, *still, '--train.early_stopping_evals', '3')
    assert tensors(tmp_path)['global_step'] == 20


@pytest.mark.slow
def test_two_virtual_devices_train_and_resume_on_the_same_batches(record_dir, tmp_path):
    devices = ['--devices', 'cpu:0,cpu:1', '--batch_size', '2', '--max_steps', '10']
    whole = train(record_dir, tmp_path / 'whole', *devices)
    assert 'batch: 2 images per replica x 2 replicas = 4 per step' in whole.stderr
    assert 'devices: cpu:0\n' in whole.stderr  # of which they are parts
    with start(record_dir, tmp_path / 'killed', *devices) as process:
        wait_for(process, 'step 7/')
        process.kill()
    train(record_dir, tmp_path / 'killed', *devices)
    assert_same_weights(tensors(tmp_path / 'whole'), tensors(tmp_path / 'killed'))
    alone = train(record_dir, tmp_path / 'killed', *devices[2:], check=False)
    assert alone.returncode == 2 and 'replicas: 2 -> 1\n  images_per_step: 4 -> 2' in alone.stderr


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(('127.0.0.1', 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.mark.slow
def test_two_workers_of_tf_config_train_as_two_devices_do(record_dir, tmp_path):
    """The same examples, the same order: moving statistics and slots differ by the order of summation only, weights by
    their last bit at most. Ends, and resumes."""
    # Batch norm over the two pooled values of a replica and Adam's first steps go by signs: they'd magnify rounding. So
    # does a ReLU: where weights differ by a bit, an activation near 0 that falls on its other side moves gradients by
    # percents. The rate is so small that the weights of both stay equal, and large enough for kernels to change.
    short = ['--batch_size', '2', '--train.save_steps', '2', '--optimizer.name', 'momentum', '--learning_rate', '1e-5',
             '--model.options.add_image_level_feature', 'false']
    cluster = {'worker': [f'127.0.0.1:{port}' for port in free_ports(2)]}
    for steps in ('2', '4'):
        more = [*short, '--max_steps', steps, '--schedule.decay_steps', '4', '--allow_recipe_change']
        train(record_dir, tmp_path / 'devices', '--devices', 'cpu:0,cpu:1', *more)
        workers = [start(record_dir, tmp_path / 'workers', *more, env=os.environ | {'TF_CONFIG': json.dumps(
            {'cluster': cluster, 'task': {'type': 'worker', 'index': index}})}) for index in range(2)]
        outputs = [worker.communicate(timeout=300)[1] for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0], outputs
    assert 'step 4/4' in outputs[0] and 'step 4/4' not in outputs[1]  # the chief reports
    before, devices, workers = (tensors(tmp_path / name) for name in ('devices/model.ckpt-2', 'devices', 'workers'))
    assert devices.keys() == workers.keys() and workers['global_step'] == 4
    for name, value in devices.items():  # a sum's rounding goes by its largest terms, not by what is left of them
        atol = 1e-6 + 1e-4 * np.abs(value).max()
        np.testing.assert_allclose(workers[name], value, rtol=1e-3, atol=atol, err_msg=name)
    weights = [name for name in devices if f'{name}/Momentum' in devices]
    for name in weights:
        np.testing.assert_allclose(workers[name], devices[name], rtol=0, atol=np.spacing(np.abs(devices[name]).max()),
                                   err_msg=name)
    kernels = [name for name in weights if name.endswith('weights')]
    assert kernels and all((devices[name] != before[name]).any() for name in kernels)
