"""The official DeepLab (tensorflow/models, research/deeplab), run as it is checked out, on this TensorFlow.

It was written for TensorFlow 1: `tf.contrib` is put together here from tf-slim and TensorFlow itself before its modules
are imported. Its mains build the graphs; what would run them hands them over instead.
"""

import collections
import collections.abc
import contextlib
import importlib
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import pictures
from benchmarks.contenders.worker import Contender, repeat, serve

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')


def training() -> None:
    serve(_training)


def forward() -> None:
    serve(_forward)


def evaluation() -> None:
    serve(_evaluation)


def input() -> None:
    serve(_input)


def _training(official: str, folder: str, backbone: str, side: int, batch: int, **_: Any) -> Contender:
    tf = _importable(official)
    images, labels = pictures.batch(folder, batch, side)
    taken: dict[str, Any] = {}
    with _main('deeplab.train', taken) as main:
        data = importlib.import_module('deeplab.datasets.data_generator')
        data.Dataset.get_one_shot_iterator = lambda self: tf.data.make_one_shot_iterator(
            tf.data.Dataset.from_tensors({'image': images, 'label': labels[..., None]}).repeat())
        _flags(train_logdir='unused', dataset_dir='unused', train_batch_size=batch, train_crop_size=[side, side],
               **_net(backbone))
        main(None)
    session = _session(tf, taken['graph'])
    return Contender(repeat(lambda: session.run(taken['fetches'])), _facts(tf, taken['graph']))


def _forward(official: str, folder: str, backbone: str, side: int, **_: Any) -> Contender:
    tf = _importable(official)
    common, model = (importlib.import_module(f'deeplab.{name}') for name in ('common', 'model'))
    _flags(**{name: value for name, value in _net(backbone).items() if name not in ('atrous_rates', 'output_stride')})
    images, _labels = pictures.batch(folder, 1, side)
    with tf.Graph().as_default() as graph:
        options = common.ModelOptions({common.OUTPUT_TYPE: 21}, crop_size=[side, side], atrous_rates=[6, 12, 18],
                                      output_stride=16)
        fed = tf.placeholder(tf.float32, [1, side, side, 3])
        classes = model.predict_labels(fed, options)[common.OUTPUT_TYPE]
    session = _session(tf, graph)
    return Contender(repeat(lambda: session.run(classes, {fed: images})), _facts(tf, graph))


def _evaluation(official: str, record_dir: str, checkpoint: str, scales: list[float], flip: bool,
                **_: Any) -> Contender:
    tf = _importable(official)
    taken: dict[str, Any] = {}
    with _main('deeplab.eval', taken) as main:
        _flags(eval_logdir='unused', checkpoint_dir='unused', dataset_dir=record_dir, eval_crop_size=['513', '513'],
               model_variant='mobilenet_v2', depth_multiplier=0.5, eval_scales=scales, add_flipped_images=flip)
        main(None)
    session = _session(tf, taken['graph'])
    with taken['graph'].as_default():
        tf.train.Saver(taken['variables']).restore(session, checkpoint)
    return Contender(repeat(lambda: session.run(taken['fetches'])), _facts(tf, taken['graph']))


def _input(official: str, record_dir: str, split: str, side: int, batch: int, **_: Any) -> Contender:
    tf = _importable(official)
    data = importlib.import_module('deeplab.datasets.data_generator')
    with tf.Graph().as_default() as graph:
        dataset = data.Dataset('pascal_voc_seg', split, record_dir, batch, [side, side], min_scale_factor=0.5,
                               max_scale_factor=2.0, scale_factor_step_size=0.25, model_variant='mobilenet_v2',
                               num_readers=4, is_training=True, should_shuffle=True, should_repeat=True)
        examples = dataset.get_one_shot_iterator().get_next()
    session = _session(tf, graph)
    return Contender(lambda count: repeat(lambda: session.run(examples))(count // batch), _facts(tf, graph))


def _net(backbone: str) -> dict[str, Any]:
    """Flags of DeepLabv3+ at output stride 16, as its README gives them for Xception."""
    return {'model_variant': backbone, 'atrous_rates': [6, 12, 18], 'output_stride': 16,
            'decoder_output_stride': ['4']}


def _facts(tf: Any, graph: Any) -> dict[str, Any]:
    with graph.as_default():
        parameters = sum(variable.shape.num_elements() for variable in tf.model_variables())
    return {**({'parameters': parameters} if parameters else {}), 'versions': {'tensorflow': tf.version.VERSION}}


def _session(tf: Any, graph: Any) -> Any:
    with graph.as_default():
        session = tf.Session(graph=graph, config=tf.ConfigProto(allow_soft_placement=True))
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    return session


def _flags(**values: Any) -> None:
    from absl import flags
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    for name, value in values.items():
        setattr(flags.FLAGS, name, value)


@contextlib.contextmanager
def _main(name: str, taken: dict[str, Any]) -> collections.abc.Iterator[collections.abc.Callable]:
    """The main of a module; what it would run goes to `taken`: 'graph', 'fetches' and the model's 'variables'."""
    import tensorflow.compat.v1 as tf
    contrib = sys.modules['tensorflow.contrib']

    def take(fetches: Any) -> None:
        taken.update(fetches=fetches, graph=tf.get_default_graph(), variables=tf.model_variables())

    contrib.slim.learning.train = lambda train_op, **_: take(train_op)
    contrib.training.evaluate_repeatedly = lambda eval_ops, **_: take(eval_ops)
    tf.gfile.MakeDirs = lambda path: None
    yield importlib.import_module(name).main


def _importable(official: str) -> Any:
    """Makes `import deeplab` that of the checkout; returns TensorFlow's version 1 API."""
    research = Path(official) / 'research' if (Path(official) / 'research').is_dir() else Path(official)
    sys.path[:0] = [str(research), str(research / 'slim')]
    # A copy that was changed for Python 3.10 takes all of `collections` for `collections.abc`.
    vars(collections.abc).update({name: getattr(collections, name) for name in collections.__all__})
    np.int = int  # type: ignore[attr-defined]
    import keras.src.legacy_tf_layers as layers
    from keras.src.legacy_tf_layers import base, convolutional, core, normalization, pooling
    sys.modules['tf_keras'] = types.ModuleType('tf_keras')
    sys.modules['tf_keras.legacy_tf_layers'] = layers
    for module in (base, convolutional, core, normalization, pooling):
        sys.modules[module.__name__.replace('keras.src', 'tf_keras')] = module
    import tensorflow.compat.v1 as tf
    from tensorflow.python.framework import ops
    ops.Tensor, ops.IndexedSlices = tf.Tensor, tf.IndexedSlices  # where tf-slim looks for them
    tf.logging.set_verbosity = lambda level: None
    _contrib(tf)
    convolution = importlib.import_module('deeplab.core.conv2d_ws').Conv2D
    convolution._convolution_op = convolution.convolution_op  # as Keras names it since
    return tf


def _contrib(tf: Any) -> None:
    """`tensorflow.contrib` as far as the code asks for it."""
    import tf_slim as slim
    from tf_slim.layers import layers, utils
    from tf_slim.nets import resnet_utils

    def module(name: str, **attributes: Any) -> types.ModuleType:
        made = types.ModuleType(f'tensorflow.contrib{name}')
        made.__path__ = []  # a package, for what is imported from below it
        vars(made).update(attributes)
        sys.modules[made.__name__] = made
        return made

    nothing = types.SimpleNamespace(print_model_analysis=lambda *_, **__: None, FLOAT_OPS_OPTIONS=None,
                                    TRAINABLE_VARS_PARAMS_STAT_OPTIONS=None)
    sys.modules['tensorflow.contrib.slim'] = slim
    sys.modules['tensorflow.contrib.slim.nets'] = module('.slim.nets', resnet_utils=resnet_utils)
    low = module('.layers.python.layers', layers=layers, utils=utils)
    tf.contrib = module(
        '', slim=slim, framework=module('.framework', add_arg_scope=slim.add_arg_scope, arg_scope=slim.arg_scope),
        layers=module('.layers', xavier_initializer=slim.xavier_initializer, l2_regularizer=slim.l2_regularizer,
                      variance_scaling_initializer=slim.variance_scaling_initializer,
                      python=module('.layers.python', layers=low)),
        training=module('.training', SummaryAtEndHook=lambda *_, **__: None),
        quantize=module('.quantize'),
        metrics=module('.metrics', aggregate_metric_map=slim.metrics.aggregate_metric_map),
        tfprof=module('.tfprof', ProfileContext=lambda *_, **__: contextlib.nullcontext(), model_analyzer=nothing))
