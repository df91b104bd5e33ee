import json
import os

import numpy as np
import pytest

from deeplab import optimizer
from deeplab.compat import estimator, tensorflow, tf
from deeplab.recipes.schema import Optimizer
from pretrained import restore
from tests.deeplab.oracle import ORACLE, manifests
from tests.paths import shared
from tests.replicas import in_fresh_process, run_config

MODEL = {'net/conv/weights': (3, 3, 3, 4), 'net/conv/BatchNorm/gamma': (4,), 'aspp0/weights': (1, 1, 4, 8),
         'logits/semantic/weights': (1, 1, 8, 5), 'logits/semantic/biases': (5,)}
STATE = {'global_step': (), 'net/conv/weights/Momentum': (3, 3, 3, 4), 'beta1_power': (), 'aspp0/weights/Adam_1': (8,)}


def values_of(shapes, seed=0):
    random = np.random.RandomState(seed)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def save(prefix, values):
    """Writes a checkpoint of {name: array} and returns its prefix."""
    names, prefix = list(values), str(prefix)
    os.makedirs(os.path.dirname(prefix), exist_ok=True)
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=[''] * len(names), tensors=[*values.values()])
    return prefix


@pytest.fixture
def checkpoint(tmp_path):
    return save(tmp_path / 'model.ckpt', values_of({**MODEL, **STATE, 'extra/weights': (2,)}))


def test_locate_takes_every_way_to_name_a_checkpoint(tmp_path, checkpoint):
    for path in (tmp_path, str(tmp_path), checkpoint, f'{checkpoint}.index', f'{checkpoint}.data-00000-of-00001'):
        assert restore.locate(path) == checkpoint


def test_locate_takes_the_newest_of_a_folder_also_after_the_folder_has_moved(tmp_path):
    saved = [save(tmp_path / 'run' / f'model.ckpt-{step}', values_of(MODEL)) for step in (2, 10, 9)]
    tf.train.update_checkpoint_state(str(tmp_path / 'run'), 'model.ckpt-9', ['model.ckpt-2', 'model.ckpt-10'])
    assert restore.locate(tmp_path / 'run') == saved[-1]
    (tmp_path / 'run' / 'checkpoint').write_text(f'model_checkpoint_path: "{saved[-1]}"\n')
    (tmp_path / 'run').rename(tmp_path / 'moved')
    assert restore.locate(tmp_path / 'moved') == str(tmp_path / 'moved' / 'model.ckpt-9')


def test_locate_names_what_is_there_instead(tmp_path, checkpoint):
    there = 'model.ckpt.data-00000-of-00001, model.ckpt.index'
    with pytest.raises(ValueError, match=f'no checkpoint .*other.ckpt; .* holds {there}'):
        restore.locate(tmp_path / 'other.ckpt')
    with pytest.raises(ValueError, match='there is no folder .*nowhere either'):
        restore.locate(tmp_path / 'nowhere' / 'model.ckpt')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match='empty has no checkpoint; .*empty holds nothing'):
        restore.locate(tmp_path / 'empty')
    (tmp_path / 'weights.tar.gz').write_bytes(b'')
    with pytest.raises(ValueError, match='weights.tar.gz is an archive; unpack it'):
        restore.locate(tmp_path / 'weights.tar.gz')
    save(tmp_path / 'second.ckpt', values_of(MODEL))
    with pytest.raises(ValueError, match='2 checkpoints and no file that says .* newest; .*second.ckpt.index'):
        restore.locate(tmp_path)
    (tmp_path / 'checkpoint').write_text('model_checkpoint_path: "gone.ckpt-7"\n')
    with pytest.raises(ValueError, match='checkpoint names .*gone.ckpt-7, which does not exist; .*second.ckpt.index'):
        restore.locate(tmp_path)


def restored_by_tensorflow(prefix, name):
    """Through `init_from_checkpoint`, the way that a model takes it."""
    with tf.Graph().as_default(), tf.Session() as session:
        variable = tf.get_variable(name, MODEL[name])
        tf.train.init_from_checkpoint(prefix, {name: name})
        session.run(tf.global_variables_initializer())
        return session.run(variable)


def test_a_checkpoint_of_the_first_format_is_read_too(tmp_path):
    values = values_of(MODEL)
    prefix = str(tmp_path / 'resnet.ckpt')
    tf.raw_ops.Save(filename=prefix, tensor_names=list(values), data=list(values.values()))
    assert os.listdir(tmp_path) == ['resnet.ckpt']
    assert restore.locate(tmp_path) == restore.locate(prefix) == prefix
    assert set(restore.plan(prefix, MODEL, scope='net').restored) == set(MODEL)
    assert restored_by_tensorflow(prefix, 'aspp0/weights') == pytest.approx(values['aspp0/weights'])
    assert restore.fingerprint(prefix) == restore.fingerprint(save(tmp_path / 'new' / 'model.ckpt', values))


def test_everything_that_matches_is_restored_and_training_state_never(checkpoint):
    report = restore.plan(checkpoint, {**MODEL, 'global_step': ()}, scope='net')
    assert report.restored == tuple(MODEL)
    assert report.missing == report.excluded == () and report.misshaped == {}
    assert report.unused == ('extra/weights',)
    assert restore.assignment_map(report) == {name: name for name in MODEL}
    assert 'not used by the model (1): extra/weights' in report.text()


def test_a_head_for_other_classes_is_dropped_and_said(checkpoint):
    head = {'logits/semantic/weights': (1, 1, 8, 11), 'logits/semantic/biases': (11,)}
    model = {**MODEL, **head, 'decoder/weights': (2,)}
    report = restore.plan(checkpoint, model, scope='net')
    assert report.restored == ('net/conv/weights', 'net/conv/BatchNorm/gamma', 'aspp0/weights')
    assert report.missing == ('decoder/weights',)
    assert report.dropped_head() == tuple(head)
    text = report.text()
    assert 'head dropped, for another number of classes (2): logits/semantic/weights [1, 1, 8, 11] here' in text
    assert 'logits/semantic/biases [11] here, [5] in the checkpoint' in text
    assert 'not in the checkpoint (1): decoder/weights' in text
    assert [line.split() for line in text.splitlines() if line.startswith('net ')] == [['net', '2', '0', '0', '0']]


def test_another_kernel_size_is_no_head(checkpoint):
    report = restore.plan(checkpoint, {**MODEL, 'aspp0/weights': (3, 3, 4, 8)}, scope='net')
    assert report.dropped_head() == ()
    assert 'other shape (1): aspp0/weights [3, 3, 4, 8] here, [1, 1, 4, 8] in the checkpoint' in report.text()


def test_parts_can_be_left_out(checkpoint):
    report = restore.plan(checkpoint, MODEL, scope='net', exclude={'aspp0/weights', 'logits/semantic/weights',
                                                                    'logits/semantic/biases', 'decoder/weights'})
    assert report.restored == ('net/conv/weights', 'net/conv/BatchNorm/gamma')
    assert report.excluded == ('aspp0/weights', 'logits/semantic/weights', 'logits/semantic/biases')


def test_what_is_left_out_equals_the_official_lists(tmp_path):
    oracle = json.loads((ORACLE / 'gradient_multipliers.json').read_text())
    assert len(oracle) == 5
    for config, tables in oracle.items():
        # The names decide; one number each stands for the weights.
        variables = {name: () for name, _ in manifests()[config]['variables']}
        prefix = save(tmp_path / config, values_of(variables))
        for logits_only in (False, True):
            options = Optimizer(last_layers_contain_logits_only=logits_only)
            expected = set(tables[f'not_restored_when_initialize_last_layer_false_logits_only_{logits_only}'])
            report = restore.plan(prefix, variables, exclude=optimizer.last_layers(variables, options))
            assert set(report.excluded) == expected - {'global_step'}, config
            assert set(report.restored) == set(variables) - expected, config


def test_a_backbone_must_be_covered_whole(checkpoint):
    model = {**MODEL, 'net/conv/weights': (3, 3, 3, 8), 'net/conv/BatchNorm/gama': (4,), 'decoder/weights': (2,)}
    with pytest.raises(ValueError) as error:
        restore.plan(checkpoint, model, scope='net')
    message = str(error.value)
    assert 'does not cover the backbone net: 2 variables' in message
    assert 'net/conv/weights [3, 3, 3, 8] here, [3, 3, 3, 4] in the checkpoint' in message
    assert 'net/conv/BatchNorm/gama is not in the checkpoint; nearest there is net/conv/BatchNorm/gamma [4]' in message
    assert 'decoder' not in message.splitlines()[2]
    assert 'aspp0 (1), extra (1), logits (2), net (2)' in message


def test_names_below_another_scope_are_pointed_out(tmp_path):
    prefix = save(tmp_path / 'm', values_of({f'model/{name}': shape for name, shape in MODEL.items()}))
    with pytest.raises(ValueError, match='nearest there is model/net/conv/weights'):
        restore.plan(prefix, MODEL, scope='net')
    with pytest.raises(ValueError, match=r'has nothing for this model; it holds variables below model \(5\)'):
        restore.plan(prefix, MODEL)


def test_values_must_be_finite_float32(tmp_path):
    values = values_of(MODEL)
    values['aspp0/weights'][0, 0, 1, 2] = np.nan
    with pytest.raises(ValueError, match='values that are not finite: aspp0/weights'):
        restore.plan(save(tmp_path / 'nan', values), MODEL, scope='net')
    values['aspp0/weights'] = np.zeros(MODEL['aspp0/weights'])
    with pytest.raises(ValueError, match='not float32: aspp0/weights float64'):
        restore.plan(save(tmp_path / 'double', values), MODEL, scope='net')


def test_a_resumed_checkpoint_must_be_of_exactly_this_model(checkpoint):
    model = {**MODEL, 'extra/weights': (2,)}
    restore.check_compatible(checkpoint, model)
    restore.check_compatible(checkpoint, {**model, 'global_step': ()})
    del model['extra/weights']
    restore.check_compatible(checkpoint, model, optional=['extra/weights', 'another/weights'])
    with pytest.raises(ValueError) as error:
        restore.check_compatible(checkpoint, {**model, 'logits/semantic/biases': (11,), 'decoder/weights': (2, 3)})
    message = str(error.value)
    assert 'belongs to another model; 3 variables differ' in message
    assert 'decoder/weights [2, 3] is not in the checkpoint' in message
    assert 'extra/weights [2] is only in the checkpoint' in message
    assert 'logits/semantic/biases [11] here, [5] in the checkpoint' in message


def test_fingerprint_is_that_of_the_weights(tmp_path):
    values = values_of(MODEL)
    first = restore.fingerprint(save(tmp_path / 'a', values))
    assert len(bytes.fromhex(first)) == 32
    reordered = dict(reversed(values.items())) | values_of(STATE, seed=3)
    assert restore.fingerprint(save(tmp_path / 'b', reordered)) == first
    changes = [{**values, 'net/conv/BatchNorm/gamma': values['net/conv/BatchNorm/gamma'] * np.float32(1 + 1e-6)},
               {**values, 'aspp0/weights': values['aspp0/weights'].reshape(1, 4, 1, 8)},
               {('renamed' if name == 'aspp0/weights' else name): value for name, value in values.items()}]
    others = {restore.fingerprint(save(tmp_path / f'c{i}', changed)) for i, changed in enumerate(changes)}
    assert len(others) == len(changes) and first not in others


DAMAGE = {
    'index cut': ('.index', lambda data: data[:len(data) // 2]),
    'index empty': ('.index', lambda data: b''),
    'index bit': ('.index', lambda data: data[:40] + bytes([data[40] ^ 4]) + data[41:]),
    'data cut': ('.data-00000-of-00001', lambda data: data[:len(data) // 2]),
    'data short by a byte': ('.data-00000-of-00001', lambda data: data[:-1]),
    'data empty': ('.data-00000-of-00001', lambda data: b''),
    'data bit': ('.data-00000-of-00001', lambda data: data[:40] + bytes([data[40] ^ 4]) + data[41:]),
    'data lost': ('.data-00000-of-00001', None),
}


@pytest.mark.parametrize('damage', DAMAGE)
def test_damaged_files_are_named(tmp_path, damage):
    prefix = save(tmp_path / 'model.ckpt', values_of(MODEL))
    suffix, change = DAMAGE[damage]
    path = tmp_path / f'model.ckpt{suffix}'
    data = path.read_bytes()
    path.unlink()
    if change:
        path.write_bytes(change(data))
    for read in (lambda: restore.plan(prefix, MODEL, scope='net'), lambda: restore.fingerprint(prefix)):
        with pytest.raises(ValueError, match='checkpoint .*model.ckpt is damaged or not a checkpoint'):
            read()


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    (tmp_path / 'notes.txt').write_text('hello')
    with pytest.raises(ValueError, match='notes.txt is damaged or not a checkpoint'):
        restore.plan(restore.locate(tmp_path / 'notes.txt'), MODEL)


REAL = {'deeplabv3_mnv2_dm05_pascal_trainaug': 'mnv2_dm05_os16_voc', 'mobilenet_v2_1.0_224_bnfolded': 'mnv2_os16_voc'}


@pytest.mark.parametrize('folder', REAL)
def test_real_weights_cover_their_backbone(folder):
    model = {name: tuple(shape) for name, shape in manifests()[REAL[folder]]['variables']}
    backbone = {name for name in model if name.startswith('MobilenetV2/')}
    prefix = restore.locate(shared('weights', folder))
    report = restore.plan(prefix, model, scope='MobilenetV2')
    assert len(backbone) > 250 and backbone <= set(report.restored)
    assert report.misshaped == {}
    whole = folder.startswith('deeplab')
    assert set(report.restored) == (set(model) if whole else backbone)
    if whole:
        restore.check_compatible(prefix, model)


def test_real_weights_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r'MobilenetV2/Conv/weights \[3, 3, 3, 32\] here, \[3, 3, 3, 16\] in the'):
        restore.plan(restore.locate(shared('weights', 'mobilenet_v2_0.35_224')),
                     dict(manifests()['mnv2_os16_voc']['variables']), scope='MobilenetV2')


def initialise_on(replicas, source, model_dir):
    """The variables after a step that only sums up what every replica sees in its own copies."""
    model = {**MODEL, 'logits/semantic/biases': (11,)}
    report = restore.plan(source, model, scope='net')

    def model_fn(features, labels, mode):
        variables = [tf.get_variable(name, shape, initializer=tf.ones_initializer()) for name, shape in model.items()]
        tf.train.init_from_checkpoint(report.prefix, restore.assignment_map(report))
        squares = tf.add_n([tf.reduce_sum(tf.square(variable)) for variable in variables])
        seen = tf.Variable(0.0, name='seen', trainable=False, synchronization=tf.VariableSynchronization.ON_READ,
                           aggregation=tf.VariableAggregation.SUM)
        train_op = tf.group(seen.assign_add(squares), tf.train.get_or_create_global_step().assign_add(1))
        return estimator.EstimatorSpec(mode, loss=squares, train_op=train_op)

    def input_fn():
        return tensorflow.data.Dataset.from_tensors(tf.zeros([1])).repeat(replicas)
    net = estimator.Estimator(model_fn, config=run_config(replicas, model_dir=model_dir))
    net.train(input_fn, max_steps=1)
    return {name: net.get_variable_value(name) for name in (*model, 'seen')}


@pytest.mark.parametrize('replicas', [1, 2])
def test_weights_arrive_on_every_replica_of_an_estimator(replicas, checkpoint, tmp_path):
    found = in_fresh_process(initialise_on, replicas, checkpoint, str(tmp_path / 'run'))
    written = values_of({**MODEL, **STATE, 'extra/weights': (2,)})
    expected = {**{name: written[name] for name in MODEL}, 'logits/semantic/biases': np.ones(11)}
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)
    squares = sum((value.astype(np.float64) ** 2).sum() for value in expected.values())
    np.testing.assert_allclose(found['seen'], replicas * squares, rtol=1e-5)
