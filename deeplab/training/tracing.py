"""Where the time of a step goes: traces of single steps, and the costs by type of operation."""

import re
from collections import Counter
from pathlib import Path

from console.files import write_whole
from console.progress import say
from deeplab.compat import Timeline, tf

WARM_UP = 5  # steps, in which TensorFlow builds its executors and its memory grows
LARGEST = 10
TYPE = re.compile(r' = (\w+)\(')  # of a label 'name = Type(inputs)'


class Profile(tf.train.SessionRunHook):
    """Traces `count` steps after WARM_UP ones into model_dir/profile, and then says the largest costs.

    The traces are files in Chrome's format, one a step, which ui.perfetto.dev and chrome://tracing open. On GPUs the
    costs are those of starting kernels.
    """

    def __init__(self, model_dir: Path, count: int):
        self._folder, self._count = model_dir / 'profile', count

    def begin(self) -> None:
        self._seen, self._costs, self._traced = 0, Counter[str](), list[Path]()
        self._step = tf.train.get_global_step()

    def before_run(self, run_context: tf.train.SessionRunContext) -> tf.train.SessionRunArgs | None:
        self._seen += 1
        if not WARM_UP < self._seen <= WARM_UP + self._count:
            return None
        return tf.train.SessionRunArgs(None, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE))

    def after_run(self, run_context: tf.train.SessionRunContext, run_values: tf.train.SessionRunValues) -> None:
        if not WARM_UP < self._seen <= WARM_UP + self._count:
            return
        stats = run_values.run_metadata.step_stats
        self._costs += costs(run_values.run_metadata)
        self._traced.append(self._folder / f'{len(self._traced) + 1}.json')
        self._folder.mkdir(exist_ok=True)
        write_whole(self._traced[-1], Timeline(stats).generate_chrome_trace_format())
        if len(self._traced) == self._count:
            say('\n'.join(self._report()))

    def end(self, session: tf.Session) -> None:
        if len(self._traced) < self._count:
            say(f'--profile {self._count}: training ended after {len(self._traced)} of these steps, which begin after '
                f'{WARM_UP} others')

    def _report(self) -> list[str]:
        total = sum(self._costs.values())
        lines = [f'{LARGEST} largest costs of {self._count} steps, as shares of the time in all operations:']
        lines += [f'  {microseconds / total:6.1%}  {microseconds / 1e3 / self._count:9.2f} ms a step  {kind}'
                  for kind, microseconds in self._costs.most_common(LARGEST)]
        return [*lines, f'traces: {self._folder}/*.json, for ui.perfetto.dev']


def costs(metadata: tf.RunMetadata) -> Counter[str]:
    """Microseconds by type of operation; of operations that run beside each other each counts."""
    found: Counter[str] = Counter()
    for device in metadata.step_stats.dev_stats:
        for node in device.node_stats:
            named = TYPE.search(node.timeline_label)
            if named:
                found[named[1]] += node.op_end_rel_micros - node.op_start_rel_micros
    return found
