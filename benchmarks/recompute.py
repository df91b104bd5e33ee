"""Measures a training step's memory and time, plain, recomputed and accumulated; writes recompute.json beside itself.

    python -m benchmarks.recompute --backbone resnet_v1_50 --size 193 --images 8
"""

import dataclasses
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tensorflow.python.client import timeline

from console.command import Parser
from console.exits import DONE, guarded
from console.files import write_whole
from deeplab import model_fn, run
from deeplab.compat import tensorflow, tf
from deeplab.recipes import recipe
from deeplab.recipes.schema import Recipe
from deeplab.training.devices import session_config

OUTPUT = Path(__file__).with_suffix('.json')


@dataclasses.dataclass(frozen=True)
class Case:
    """A step of batch_size x accumulate_steps images."""

    batch_size: int
    accumulate_steps: int
    recompute: bool


def measure(case: Case, backbone: str, size: int, steps: int) -> dict[str, Any]:
    """The peak of what TensorFlow's allocators hold in a step, and the seconds of the fastest of `steps` others."""
    chosen = run.resolve(recipe.override(Recipe(), {
        'model.net': 'deeplabv3', 'model.backbone': backbone, 'data.crop_size': (size, size),
        **{f'train.{name}': value for name, value in dataclasses.asdict(case).items()}}))
    with tf.Graph().as_default():
        step = tf.train.get_or_create_global_step()
        number = chosen.images_per_step
        features = {'image': tf.random.uniform([number, size, size, 3], 0, 255), 'filename': tf.fill([number], 'drawn'),
                    'number': step * number + tf.range(number, dtype=tf.int64)}
        labels = tf.random.uniform([number, size, size], 0, chosen.num_classes, tf.int32)
        begun = time.monotonic()
        spec = model_fn.model_fn(features, labels, model_fn.MODES.TRAIN, {'run': chosen})
        building = time.monotonic() - begun
        with tf.Session(config=session_config('float32')) as session:
            session.run(tf.global_variables_initializer())
            metadata = tf.RunMetadata()
            session.run(spec.train_op, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE),
                        run_metadata=metadata)
            seconds = [_seconds(session, spec.train_op) for _ in range(steps)]
    memory = timeline.Timeline(metadata.step_stats).analyze_step_stats(show_memory=True).allocator_maximums
    return dataclasses.asdict(case) | {
        'images_per_step': number, 'peak_mebibytes': round(sum(each.num_bytes for each in memory.values()) / 2**20),
        'seconds_per_step': round(min(seconds), 2), 'seconds_to_build': round(building, 1)}


def _seconds(session: tf.Session, train_op: tf.Operation) -> float:
    begun = time.monotonic()
    session.run(train_op)
    return time.monotonic() - begun


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser('benchmarks.recompute', __doc__)
    parser.add_argument('--backbone', default='resnet_v1_50')
    parser.add_argument('--size', type=int, default=193, help='side of the crop')
    parser.add_argument('--images', type=int, default=8, help='images of a step; the plain batch is half of them too')
    parser.add_argument('--steps', type=int, default=3)
    own = parser.parse_args(arguments)
    cases = [Case(own.images // 2, 1, False), Case(own.images // 2, 1, True), Case(own.images, 1, False),
             Case(own.images, 1, True), Case(own.images // 2, 2, False), Case(own.images // 2, 2, True)]
    rows = [measure(case, own.backbone, own.size, own.steps) for case in cases]
    write_whole(OUTPUT, json.dumps({
        'net': 'deeplabv3', 'backbone': own.backbone, 'size': own.size, 'tensorflow': tensorflow.__version__,
        'cpus': os.cpu_count(), 'load': round(os.getloadavg()[0], 1), 'machine': platform.machine(), 'rows': rows},
        indent=1) + '\n')
    for row in rows:
        print(row)
    return DONE


if __name__ == '__main__':
    sys.exit(guarded(main))
