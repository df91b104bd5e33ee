"""What a recipe costs on this machine, and what it lacks: a few steps and evaluation images, nothing kept."""

import dataclasses
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from console.memory import peak_bytes
from console.progress import duration
from deeplab.compat import estimator, tf
from deeplab.layers.scope import model_scope
from deeplab.model_fn import MODES, model_fn
from deeplab.predicting.forward import forward
from deeplab.recipes import epochs
from deeplab.run import Run
from deeplab.training import inputs, kernels, peak
from deeplab.training.estimators import make_estimator
from pretrained import released

# Operation -> the dimensions of its kernel that each value of the output (of the input, where it is transposed) costs.
KERNELS = {'Conv2D': (0, 1, 2), 'DepthwiseConv2dNative': (0, 1), 'Conv2DBackpropInput': (0, 1, 2), 'MatMul': (0,)}
STEPS = 2  # timed
FIRST = 2  # not timed: the first with summaries and the first without them pay for start-up
PASSES = 3  # forward passes with a step's multiply-adds: gradients of weights and of inputs cost one each


@dataclasses.dataclass(frozen=True)
class Cost:
    """Parameters count moving statistics; multiply-adds are those of one image at the crop's size."""

    parameters: int
    trainable: int
    multiply_adds: int
    step_seconds: float
    peak: float  # multiply-adds a second of a matrix product in the run's precision
    evaluation_seconds: float  # an image
    memory_bytes: int  # by which a training step makes the process larger


def dry_run(run: Run) -> tuple[list[str], list[str]]:
    """Lines about the recipe's cost, and about what is missing on disk.

    Runs on drawn images where the records are missing: their values decide no time, nor does the place in a schedule.
    """
    missing = list(_missing(run))
    num_images = _train_images(run)
    run = kernels.decided(run)
    recipe = epochs.in_steps(run.recipe, num_images or 1, run.images_per_step)
    cost = measure(dataclasses.replace(run, recipe=recipe))
    height, width = recipe.data.crop_size
    rate = run.images_per_step / cost.step_seconds
    made = PASSES * cost.multiply_adds * rate
    lines = [
        f'parameters          {cost.parameters:,} ({cost.trainable:,} trainable)' + _expected(run, cost),
        f'multiply-adds       {cost.multiply_adds / 1e9:.2f} G for an image of {height} x {width}',
        f'training memory     {cost.memory_bytes / 2**20:,.0f} MiB for {run.images_per_step} images a step',
        (f'training            {cost.step_seconds:.2f} s a step, {rate:.1f} images/s, '
         f'{rate * height * width / 1e6:.2f} M pixels/s'),
        (f'arithmetic          {2 * made / 1e9:,.0f} GFLOP/s, a step counted as {PASSES} forward passes: '
         f"{made / cost.peak:.1%} of this machine's {2 * cost.peak / 1e9:,.0f}, measured by a matrix product in "
         f'{recipe.train.precision}'),
        f'evaluation          {cost.evaluation_seconds:.2f} s an image of that size']
    if run.recipe.train.epochs and not num_images:
        missing.append(f'the size of split {recipe.data.train_split}: {run.dataset.name} has no such split and '
                       f'data.record_dir {recipe.data.record_dir or "(not given)"} no records of it, so that '
                       f'{run.recipe.train.epochs:g} epochs are an unknown number of steps; write the '
                       f'records, or give --max_steps')
    else:
        steps = recipe.train.max_steps
        lines.append(f'the whole recipe    {steps} steps: about {duration(steps * cost.step_seconds)} on this machine, '
                     f'without evaluations')
    return lines, missing


def _train_images(run: Run) -> int | None:
    """How many images an epoch has: those of the records, or while there are none as many as the dataset's row says."""
    data = run.recipe.data
    try:
        return inputs.index_split(run, data.train_split).num_examples
    except (ValueError, OSError):  # _missing says what is wrong with them
        split = run.dataset.splits.get(data.train_split)
        return min(split.num_images, data.limit or split.num_images) if split else None


def _expected(run: Run, cost: Cost) -> str:
    wanted = run.recipe.expected.params
    return f'; the recipe expects {wanted:,}' if wanted and wanted not in (cost.parameters, cost.trainable) else ''


def measure(run: Run) -> Cost:
    """Builds the training and the evaluation graph and times them on drawn images."""
    plain = dataclasses.replace(run, recipe=dataclasses.replace(
        run.recipe, init=dataclasses.replace(run.recipe.init, checkpoint='')))
    before = peak_bytes()
    timer = _train(plain)
    after = peak_bytes()
    options = run.recipe.train
    with tempfile.TemporaryDirectory() as folder:
        config = make_estimator(plain, Path(folder)).config
    return Cost(timer.parameters, timer.trainable, _one_view(plain), timer.seconds,
                peak.peak(options.precision, config.session_config), _evaluate(plain, config), after - before)


class _Timer(tf.train.SessionRunHook):
    """Seconds of one of STEPS steps, after the FIRST; and how many values the variables hold."""

    def begin(self) -> None:
        self.parameters, self.trainable = (sum(math.prod(v.shape.as_list()) for v in variables)
                                           for variables in (tf.model_variables(), tf.trainable_variables()))
        self._ends: list[float] = []

    def after_run(self, run_context: tf.train.SessionRunContext, run_values: tf.train.SessionRunValues) -> None:
        self._ends.append(time.monotonic())

    @property
    def seconds(self) -> float:
        return (self._ends[-1] - self._ends[FIRST - 1]) / STEPS


def _train(run: Run) -> _Timer:
    """Trains as a training does, by the same Estimator, but on drawn images and in a folder that is thrown away."""
    timer = _Timer()
    with tempfile.TemporaryDirectory() as folder:
        make_estimator(run, Path(folder)).train(lambda: _drawn(run), hooks=[timer], steps=FIRST + STEPS)
    return timer


def _drawn(run: Run) -> tf.data.Dataset:
    """The same batch for every step, so that drawing it costs none of them time."""
    size = [run.images_per_step, *run.recipe.data.crop_size]
    images, labels = _images(size), tf.random.uniform(size, 0, run.num_classes, tf.int32)

    def batch(step: tf.Tensor, drawn: tuple[tf.Tensor, tf.Tensor]) -> tuple[Mapping[str, tf.Tensor], tf.Tensor]:
        numbers = step * size[0] + tf.range(size[0], dtype=tf.int64)
        return {'image': drawn[0], 'filename': tf.fill(size[:1], 'drawn'), 'number': numbers}, drawn[1]

    once = tf.data.Dataset.from_tensors((images, labels)).cache().repeat()
    return tf.data.Dataset.zip((tf.data.Dataset.range(FIRST + STEPS), once)).map(batch)


def _evaluate(run: Run, config: estimator.RunConfig) -> float:
    size = [1, *run.recipe.data.crop_size]
    with tf.Graph().as_default():
        tf.set_random_seed(config.tf_random_seed)
        spec = model_fn({'image': _images(size)}, None, MODES.PREDICT, {'run': run})
        with tf.Session(config=config.session_config) as session:
            session.run(tf.global_variables_initializer())
            return _time(lambda: session.run(spec.predictions['classes']))


def _one_view(run: Run) -> int:
    """Multiply-adds of the net alone, without scales, mirroring or tiles."""
    with tf.Graph().as_default() as graph, model_scope(training=False):
        tf.set_random_seed(run.recipe.train.seed)  # nothing can be drawn without one in deterministic mode
        forward(run, tf.placeholder(tf.float32, [1, *run.recipe.data.crop_size, 3]), training=False,
                output_stride=run.recipe.model.output_stride)
        return multiply_adds(graph)


def multiply_adds(graph: tf.Graph) -> int:
    """Those of a graph's convolutions and matrix products; everything else is small beside them.

    Raises:
      ValueError: a convolution's size isn't static.
    """
    total = 0
    for op in graph.get_operations():
        if op.type not in KERNELS:
            continue
        kernel = op.inputs[1].shape.as_list()
        # A transposed convolution multiplies each of its inputs by the whole kernel.
        made = op.inputs[2] if op.type == 'Conv2DBackpropInput' else op.outputs[0]
        if None in made.shape.as_list():
            raise ValueError(f'the size of {op.name} is not static')
        total += math.prod(made.shape.as_list()) * math.prod(kernel[d] for d in KERNELS[op.type])
    return total


def _images(size: list[int]) -> tf.Tensor:
    return tf.random.uniform([*size, 3], 0, 255)


def _time(act: Callable[[], object]) -> float:
    """Seconds of one of STEPS calls, after a first one."""
    act()
    start = time.monotonic()
    for _ in range(STEPS):
        act()
    return (time.monotonic() - start) / STEPS


def _missing(run: Run) -> Iterator[str]:
    """What the recipe needs and isn't there, with the next step."""
    recipe = run.recipe
    for split in (recipe.data.train_split, recipe.data.eval_split):
        try:
            inputs.index_split(run, split)
        except (ValueError, OSError) as error:
            yield f'split {split}: {error}'
    if recipe.init.checkpoint:
        try:
            released.locate(recipe.init.checkpoint)
        except ValueError as error:
            yield f'init.checkpoint: {error}'
