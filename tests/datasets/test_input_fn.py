import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

from datasets import row as rows
from datasets.input.augment import Augmentation, augment
from datasets.input.index import index_records
from datasets.input.order import ORDERS
from datasets.input_fn import eval_dataset, train_dataset
from datasets.records import tfrecord
from datasets.records.ids import LegalIds
from tests.datasets import drawn
from tests.datasets.records.test_tfrecord import rishizek

NUM_EXAMPLES = 11
AUGMENTATION = Augmentation((10, 12), 0.5, 2.0, 0.25)
VOC = rows.load('voc2012')
WHOLE = Augmentation((21, 21), flip=False, pad_value=(0, 0, 0))


@pytest.fixture(scope='module')
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp('records')
    drawn.write_split(folder, 'train', NUM_EXAMPLES, num_shards=3)
    return index_records(folder, 'train')


def train(index, augmentation=AUGMENTATION, **options):
    options = {'batch_size': 2, 'seed': 1, 'start_step': 0, 'max_steps': 20, 'ignore_label': 255, **options}
    return drawn.batches(lambda: train_dataset(index, augmentation, **options))


def numbers(batches):
    return [features['number'].tolist() for features, _ in batches]


def names(batches):
    return [name for features, _ in batches for name in features['filename']]


def assert_same(batch, other):
    for key in ('image', 'filename', 'number'):
        np.testing.assert_array_equal(batch[0][key], other[0][key])
    np.testing.assert_array_equal(batch[1], other[1])


def test_batches_have_the_agreed_types_and_static_shapes(index):
    with tf.Graph().as_default():
        dataset = train_dataset(index, AUGMENTATION, batch_size=3, seed=0, start_step=0, max_steps=1, ignore_label=255)
        features, labels = dataset.element_spec
    assert features == {'image': tf.TensorSpec((3, 10, 12, 3), tf.float32), 'filename': tf.TensorSpec((3,), tf.string),
                        'number': tf.TensorSpec((3,), tf.int64)}
    assert labels == tf.TensorSpec((3, 10, 12), tf.int32)


def test_a_step_depends_on_seed_and_step_alone(index):
    uninterrupted = train(index)
    assert len(uninterrupted) == 20
    for start in (1, 7, 19):
        resumed = train(index, start_step=start)
        assert len(resumed) == 20 - start
        for batch, other in zip(uninterrupted[start:], resumed, strict=True):
            assert_same(batch, other)


@pytest.mark.parametrize('make', [
    lambda index: train_dataset(index, AUGMENTATION, batch_size=2, seed=1, start_step=0, max_steps=2, ignore_label=255),
    lambda index: eval_dataset(index, ignore_label=255)], ids=['training', 'evaluation'])
def test_deterministic_mode_leaves_the_pipeline_parallel(index, make):
    """It takes the parallelism from a map of what counts as stateful, and prefetching too where that isn't in a list.

    Which are kDeterministicStatefulOps and kDeterministicStatefulOpsWhenAsync in
    tensorflow/tensorflow@1ac4593:tensorflow/core/grappler/optimizers/data/make_deterministic.cc.
    """
    with tf.Graph().as_default() as graph:
        make(dataclasses.replace(index, legal=LegalIds(21, 255)))
        made = graph.as_graph_def()
    stateful = {function.signature.name: {node.op for node in function.node_def if is_stateful(node.op)}
                for function in made.library.function}
    parallel = [node.attr['f'].func.name for node in made.node if node.op == 'ParallelMapDatasetV2']
    assert len(parallel) == 1 and not stateful[parallel[0]]
    assert set.union(*stateful.values()) == {'Assert', 'TFRecordDatasetV2', 'TensorSliceDataset'}


def is_stateful(operation):
    known = op_def_registry.get(operation)  # None is a function, which is in the library itself
    return known is not None and known.is_stateful


def test_another_seed_gives_another_order(index):
    assert names(train(index, seed=1)) != names(train(index, seed=2))


def test_every_epoch_is_another_permutation(index):
    seen = names(train(index, max_steps=3 * NUM_EXAMPLES))
    epochs = [seen[start:start + NUM_EXAMPLES] for start in range(0, len(seen), NUM_EXAMPLES)]
    assert len(epochs) == 6
    for epoch in epochs:
        assert sorted(epoch) == sorted(f'example_{number}'.encode() for number in range(NUM_EXAMPLES))
    assert len({tuple(epoch) for epoch in epochs}) == 6


@pytest.mark.parametrize('order', ORDERS)
def test_the_order_is_the_one_that_is_asked_for(index, order):
    count = NUM_EXAMPLES * 2
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        rows = [session.run(ORDERS[order](tf.constant(number % NUM_EXAMPLES, tf.int64), 1,
                                          tf.constant(number // NUM_EXAMPLES, tf.int64), NUM_EXAMPLES))
                for number in range(count)]
    stored = names(drawn.batches(lambda: eval_dataset(index, ignore_label=255)))
    assert names(train(index, order=order, max_steps=NUM_EXAMPLES)) == [stored[row] for row in rows]


@pytest.mark.parametrize('count', [1, 2, 3, 4, 5])
def test_splits_smaller_than_a_batch_wrap_into_the_next_epochs(tmp_path, count):
    drawn.write_split(tmp_path, 'train', count)
    seen = names(train(index_records(tmp_path, 'train'), batch_size=2 * count + 1, max_steps=count))
    for epoch in np.reshape(seen, (-1, count)):
        assert len(set(epoch)) == count


def test_an_example_keeps_its_pixels_and_its_name(index):
    made = [drawn.record(number, *drawn.SIZES[number % 5]) for number in range(NUM_EXAMPLES)]
    made = {record.filename: record for record in made}
    for features, labels in train(index, WHOLE, max_steps=6):
        for image, name, label in zip(features['image'], features['filename'], labels, strict=True):
            record = made[name.decode()]
            height, width = record.height, record.width
            np.testing.assert_array_equal(image[:height, :width], drawn.decoded(record.image))
            np.testing.assert_array_equal(label[:height, :width], drawn.decoded(record.label))
            assert (label[height:] == 255).all() and (label[:, width:] == 255).all()


def test_an_example_is_augmented_by_its_number(index):
    """Which differs from epoch to epoch, where the row that it has in its split doesn't."""
    made = {name: drawn.record(number, *drawn.SIZES[number % 5])
            for number, name in enumerate(f'example_{number}'.encode() for number in range(NUM_EXAMPLES))}
    for features, labels in train(index, batch_size=5, start_step=2, max_steps=4, seed=7):
        pairs = [(drawn.decoded(made[name].image), drawn.decoded(made[name].label)) for name in features['filename']]
        expected = drawn.evaluate(lambda pairs=pairs, features=features: [
            augment(tf.constant(image, tf.float32), tf.constant(label, tf.int32), AUGMENTATION, 255, 7, number)
            for (image, label), number in zip(pairs, features['number'], strict=True)])
        images, ids = (np.stack(found) for found in zip(*expected, strict=True))
        np.testing.assert_array_equal(features['image'], images)
        np.testing.assert_array_equal(labels, ids)


def test_replicas_take_consecutive_batches_of_a_step(index):
    one = train(index, batch_size=6, max_steps=5)
    three = train(index, batch_size=2, max_steps=5, num_replicas=3)
    assert numbers(one) == [list(range(step * 6, step * 6 + 6)) for step in range(5)]
    assert numbers(three) == [list(range(batch * 2, batch * 2 + 2)) for batch in range(15)]
    for step, (features, labels) in enumerate(one):
        merged = three[3 * step:3 * step + 3]
        np.testing.assert_array_equal(features['image'], np.concatenate([part['image'] for part, _ in merged]))
        np.testing.assert_array_equal(labels, np.concatenate([part for _, part in merged]))


def test_pipelines_part_the_examples_of_a_step(index):
    whole = train(index, batch_size=2, max_steps=5, num_replicas=4)
    parts = [train(index, batch_size=2, max_steps=5, num_replicas=4, pipeline=pipeline, num_pipelines=2)
             for pipeline in range(2)]
    for step in range(5):
        for replica in range(4):
            pipeline, local = divmod(replica, 2)
            assert_same(whole[4 * step + replica], parts[pipeline][2 * step + local])
    assert sorted(number for each in numbers(parts[0]) + numbers(parts[1]) for number in each) == list(range(40))


def test_a_pipeline_resumes_at_its_step(index):
    options = {'num_replicas': 2, 'pipeline': 1, 'num_pipelines': 2}
    for batch, other in zip(train(index, **options)[9:], train(index, start_step=9, **options), strict=True):
        assert_same(batch, other)


def test_replicas_that_pipelines_cannot_share(index):
    with pytest.raises(ValueError, match='3 replicas cannot be shared by 2 input pipelines'):
        train(index, num_replicas=3, num_pipelines=2)


def test_evaluation_reads_in_order_at_the_original_size(index):
    batches = drawn.batches(lambda: eval_dataset(index, ignore_label=255))
    order = [number for shard in range(3) for number in range(NUM_EXAMPLES)[shard::3]]
    assert [features['filename'].tolist() for features, _ in batches] == [[f'example_{n}'.encode()] for n in order]
    for number, (features, label) in zip(order, batches, strict=True):
        height, width = drawn.SIZES[number % 5]
        assert (features['height'].tolist(), features['width'].tolist()) == ([height], [width])
        assert features['image'].shape == (1, height, width, 3) and label.shape == (1, height, width)
        assert features['image'].dtype == np.float32 and label.dtype == np.int32
        np.testing.assert_array_equal(label[0], drawn.decoded(drawn.record(number, height, width).label))
    assert len(drawn.batches(lambda: eval_dataset(index, ignore_label=255, limit=4))) == 4


def test_the_ignore_label_must_be_the_records(index):
    written = dataclasses.replace(index, manifest={'ignore_label': 0})
    with pytest.raises(ValueError, match='converted with ignore label 0, not 255'):
        train(written)
    with pytest.raises(ValueError, match='converted with ignore label 0, not 255'):
        eval_dataset(written, ignore_label=255)


@pytest.mark.parametrize('options', [{'quality': 50}, {'quality': 95, 'subsampling': 0}, {'progressive': True}])
def test_jpegs_decode_as_pillow_decodes_them(tmp_path, options):
    smooth = np.add.outer(np.arange(31), np.arange(43)).astype(np.uint8)[..., None] * np.array([3, 2, 1], np.uint8)
    data = drawn.jpeg(smooth, **options)
    record = dataclasses.replace(drawn.record(0, 31, 43), image=data, image_format='jpeg')
    tfrecord.write_shard(tmp_path / 'val-00000-of-00001', [record])
    features, _ = drawn.batches(lambda: eval_dataset(index_records(tmp_path, 'val'), ignore_label=255))[0]
    np.testing.assert_array_equal(features['image'][0], drawn.decoded(data))


def test_rishizeks_records_are_read(tmp_path):
    made = [drawn.record(number) for number in range(3)]
    with tf.io.TFRecordWriter(str(tmp_path / 'val.record')) as writer:
        for record in made:
            writer.write(rishizek(record))
    batches = drawn.batches(lambda: eval_dataset(index_records(tmp_path, 'val'), ignore_label=255))
    assert names(batches) == [f'{tmp_path}/val.record#{number}'.encode() for number in range(3)]
    for record, (features, label) in zip(made, batches, strict=True):
        np.testing.assert_array_equal(features['image'][0], drawn.decoded(record.image))
        np.testing.assert_array_equal(label[0], drawn.decoded(record.label))


def test_a_palette_label_among_others_stops_the_graph(tmp_path):
    drawn.palette_png(tmp_path / 'label.png', np.array([[1, 15, 255]], np.uint8))
    palette = dataclasses.replace(drawn.record(1), filename='odd one', label=(tmp_path / 'label.png').read_bytes())
    tfrecord.write_shard(tmp_path / 'val-00000-of-00001', [drawn.record(0), palette])
    with pytest.raises(tf.errors.InvalidArgumentError, match='the label of odd one is not an 8-bit greyscale PNG'):
        drawn.batches(lambda: eval_dataset(index_records(tmp_path, 'val'), ignore_label=255))


@pytest.fixture
def with_an_id(tmp_path):
    """Makes the index of three records of two classes, of which the second has that id in a corner."""
    def make(value, ignore_label=255, num_classes=3):
        made = [drawn.record(number) for number in range(3)]
        ids = drawn.decoded(made[1].label).copy()
        ids[ids == 255], ids[-1, -1] = ignore_label, value
        made[0], made[2] = (dataclasses.replace(record, label=drawn.png(ids.clip(max=1))) for record in made[::2])
        made[1] = dataclasses.replace(made[1], label=drawn.png(ids))
        tfrecord.write_shard(tmp_path / 'val-00000-of-00001.tfrecord', made)
        chosen = drawn.with_classes(VOC, class_names=VOC.class_names[:num_classes], ignore_label=ignore_label)
        return index_records(tmp_path, 'val', chosen)
    return make


@pytest.mark.parametrize(('value', 'ignore_label'), [(3, 255), (254, 255), (254, 253), (255, 253), (4, 3), (255, 0)])
def test_an_id_outside_the_classes_stops_the_graph(with_an_id, value, ignore_label):
    index = with_an_id(value, ignore_label)
    message = (rf'val-00000-of-00001.tfrecord: record at byte {index.offsets[0][1]} \(example_1\): its label holds id '
               rf'{value}; classes are 0..2, ignored is {ignore_label}')
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        drawn.batches(lambda: eval_dataset(index, ignore_label=ignore_label))
    # Though the crop, of the upper left corner, mostly leaves it out.
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        train(index, Augmentation((2, 2)), max_steps=2, ignore_label=ignore_label)
    unknown = dataclasses.replace(index, legal=None)
    assert len(drawn.batches(lambda: eval_dataset(unknown, ignore_label=ignore_label))) == 3


@pytest.mark.parametrize(('value', 'ignore_label'), [(2, 255), (255, 255), (253, 253), (3, 3), (0, 0)])
def test_classes_and_the_ignore_label_pass(with_an_id, value, ignore_label):
    index = with_an_id(value, ignore_label)
    batches = drawn.batches(lambda: eval_dataset(index, ignore_label=ignore_label))
    assert len(batches) == 3 and batches[1][1][0, -1, -1] == value
    assert len(train(index, max_steps=3, ignore_label=ignore_label)) == 3


def test_a_flipped_bit_stops_the_graph(tmp_path):
    drawn.write_split(tmp_path, 'val', 3)
    path = tmp_path / 'val-00000-of-00001.tfrecord'
    data = bytearray(path.read_bytes())
    data[tfrecord.scan_offsets(path)[1] + 100] ^= 1
    path.write_bytes(data)
    with pytest.raises(tf.errors.DataLossError, match='corrupted record'):
        drawn.batches(lambda: eval_dataset(index_records(tmp_path, 'val'), ignore_label=255))


def test_a_shard_cut_after_indexing_stops_the_graph(tmp_path):
    drawn.write_split(tmp_path, 'val', 3)
    index = index_records(tmp_path, 'val')
    path = tmp_path / 'val-00000-of-00001.tfrecord'
    path.write_bytes(path.read_bytes()[:index.offsets[0][2]])
    with pytest.raises(tf.errors.InvalidArgumentError, match='val-00000-of-00001.tfrecord is empty from byte'):
        drawn.batches(lambda: eval_dataset(index, ignore_label=255))
