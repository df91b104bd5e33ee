"""This harness, by the functions that its commands call."""

import contextlib
import math
import queue
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.contenders import pictures
from benchmarks.contenders.worker import Contender, repeat, serve
from deeplab import model_fn, watched
from deeplab import run as runs
from deeplab.compat import tensorflow, tf
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.run import Run
from deeplab.trained import checkpointed
from deeplab.trained import evaluation as evaluations
from deeplab.training import eval_hooks, inputs, kernels
from deeplab.training.estimators import make_estimator, model_variables

EVALUATED = 'deeplabv3_mnv2_dm05_voc_os16'  # the row whose protocol is the official eval.py's default


def training() -> None:
    serve(_training)


def forward() -> None:
    serve(_forward)


def evaluation() -> None:
    serve(_evaluation)


def input() -> None:
    serve(_input)


def _training(folder: str, fields: dict[str, Any], side: int = 0, row: str = '', **_: Any) -> Contender:
    """A step of a recipe's fields, or of a published row with them, on one batch that is in memory."""
    run = _resolved(row, fields | ({'data.crop_size': (side, side)} if side else {}))
    count, crop = run.images_per_step, run.recipe.data.crop_size
    images, labels = (array[:, :crop[0], :crop[1]] for array in pictures.batch(folder, count, max(crop)))
    # The pictures may have other classes than the row.
    labels[(labels != pictures.IGNORE) & (labels >= run.num_classes)] = 0
    labels[labels == pictures.IGNORE] = run.dataset.ignore_label
    facts = _facts(run, training=True) | ({'max_steps': run.recipe.train.max_steps} if row else {})
    with _graph(run) as graph:
        step = tf.train.get_or_create_global_step()
        iterator = tf.data.make_initializable_iterator(tf.data.Dataset.from_tensors((images, labels)).repeat())
        image, label = iterator.get_next()
        features = {'image': image, 'filename': tf.fill([count], 'one'),
                    'number': step * count + tf.range(count, dtype=tf.int64)}
        spec = model_fn.model_fn(features, label, model_fn.MODES.TRAIN, {'run': run})
    session = _session(run, graph)
    session.run(iterator.initializer)
    return Contender(repeat(lambda: session.run(spec.train_op)), facts)


def _forward(folder: str, fields: dict[str, Any], side: int, **_: Any) -> Contender:
    run = _resolved('', fields | {'data.crop_size': (side, side)})
    images, _labels = pictures.batch(folder, 1, side)
    facts = _facts(run)
    with _graph(run) as graph:
        fed = tf.placeholder(tf.float32, [1, side, side, 3])
        spec = model_fn.model_fn({'image': fed}, None, model_fn.MODES.PREDICT, {'run': run})
    session = _session(run, graph)
    return Contender(repeat(lambda: session.run(spec.predictions['classes'], {fed: images})), facts)


def _evaluation(record_dir: str, checkpoint: str, fields: dict[str, Any], scales: list[float], flip: bool,
                **_: Any) -> Contender:
    """What evaluate.py does, held up between two images wherever nobody has asked for the next one."""
    run = _resolved(EVALUATED, fields | {'data.record_dir': record_dir, 'evaluation.scales': tuple(scales),
                                         'evaluation.flip': flip})
    pace = Pace()
    vars(eval_hooks)['ShowProgress'] = lambda make: pace
    model, facts = checkpointed.load(run, [checkpoint])[0], _facts(run)
    threading.Thread(target=evaluations.evaluate, args=(model,), daemon=True).start()
    return Contender(pace.act, facts)


def _input(record_dir: str, split: str, side: int, batch: int, **_: Any) -> Contender:
    run = _resolved('', {'data.dataset': 'voc2012', 'data.record_dir': record_dir, 'data.train_split': split,
                         'data.crop_size': (side, side), 'train.batch_size': batch})
    with _graph(run) as graph, tempfile.TemporaryDirectory() as empty:
        build = inputs.train_input(run, Path(empty), inputs.index_split(run, split))
        iterator = tf.data.make_initializable_iterator(build())
        examples = iterator.get_next()
    session = _session(run, graph)
    session.run(iterator.initializer)
    return Contender(lambda count: repeat(lambda: session.run(examples))(count // batch), {'versions': _versions()})


class Pace(tf.train.SessionRunHook):
    """Lets an evaluation, which runs in another thread, do as many images as `act` is asked for."""

    def __init__(self) -> None:
        self._asked: queue.Queue[None] = queue.Queue()
        self._done: queue.Queue[int] = queue.Queue()
        self._ahead = 0

    def act(self, count: int) -> None:
        while self._ahead < count:
            self._asked.put(None)
            self._ahead += self._done.get(timeout=600)
        self._ahead -= count

    def begin(self) -> None:
        self._names = tf.get_collection(watched.EVALUATED_FILENAMES)[0]

    def before_run(self, run_context: tf.train.SessionRunContext) -> tf.train.SessionRunArgs:
        self._asked.get()
        return tf.train.SessionRunArgs(self._names)

    def after_run(self, run_context: tf.train.SessionRunContext, run_values: tf.train.SessionRunValues) -> None:
        self._done.put(len(run_values.results))


def _resolved(row: str, fields: dict[str, Any]) -> Run:
    """The Run of a row, or of a recipe's defaults, with fields replaced; kernels as a training decides them."""
    base = recipes.load(row) if row else Recipe()
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    return kernels.decided(runs.resolve(recipes.override(base, fields)))


@contextlib.contextmanager
def _graph(run: Run) -> Iterator[tf.Graph]:
    """A new one, in a process that is set up as by the Estimator of a training; every graph needs a seed then."""
    make_estimator(run, Path(tempfile.gettempdir()))
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(run.recipe.train.seed)
        yield graph


def _session(run: Run, graph: tf.Graph) -> tf.Session:
    with graph.as_default():
        config = make_estimator(run, Path(tempfile.gettempdir())).config
        session = tf.Session(graph=graph, config=config.session_config)
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    return session


def _facts(run: Run, training: bool = False) -> dict[str, Any]:
    variables = model_variables(run, training)
    return {'parameters': sum(math.prod(shape) for name, shape in variables.items()
                              if name != checkpointed.STEP),
            'kernels': run.recipe.train.kernels, 'versions': _versions()}


def _versions() -> dict[str, str]:
    return {'tensorflow': tensorflow.__version__}


def prepare(record_dir: str, folder: str, prefix: str) -> None:
    """Writes the records' images as files for `pictures`, and untrained weights of the evaluated row.

    An evaluation's time doesn't depend on the weights.
    """
    for shard in sorted(Path(record_dir).glob('val-*.tfrecord')) or sorted(Path(record_dir).glob('val-*')):
        for record in tf.io.tf_record_iterator(str(shard)):
            values = tf.train.Example.FromString(record).features.feature
            path = Path(folder, Path(values['image/filename'].bytes_list.value[0].decode()).stem)
            for suffix, key in (('.jpg', 'image/encoded'), ('.png', 'image/segmentation/class/encoded')):
                path.with_name(path.name + suffix).write_bytes(values[key].bytes_list.value[0])
    run = _resolved(EVALUATED, {})
    with _graph(run) as graph:
        tf.train.get_or_create_global_step()
        model_fn.model_fn({'image': tf.zeros([1, 65, 65, 3])}, None, model_fn.MODES.PREDICT, {'run': run})
        saver = tf.train.Saver()
    with contextlib.closing(_session(run, graph)) as session, graph.as_default():
        saver.save(session, prefix, write_meta_graph=False)
