"""The mean of a run's last checkpoints: one checkpoint whose weights and moving statistics are averaged."""

import json
from pathlib import Path

import numpy as np

from console.files import write_whole
from deeplab.compat import tf

CHOICE = 'average:'  # --checkpoint average:N
SOURCES = '.mean_of.json'


def write(model_dir: Path | None, choice: str) -> str:
    """Writes model_dir/average/model.ckpt-STEP-mean-N for 'average:N'; returns its prefix.

    Everything but floats, such as the global step, is the newest one's.

    Raises:
      ValueError: N is no number above 1, or model_dir has fewer checkpoints.
    """
    count = choice.removeprefix(CHOICE)
    if not count.isdecimal() or int(count) < 2:
        raise ValueError(f'--checkpoint {choice}: give the number of checkpoints to average, at least 2')
    if model_dir is None:
        raise ValueError(f'--checkpoint {choice} averages those of a model_dir: give --model_dir')
    steps = {int(path.stem.rpartition('-')[2]): path for path in model_dir.glob('model.ckpt-*.index')}
    there = [steps[step] for step in sorted(steps) if step]  # that of step 0 is what the run began with
    chosen = [str(path.with_suffix('')) for path in there[-int(count):]]
    if len(chosen) < int(count):
        raise ValueError(f'--checkpoint {choice}: {model_dir} has {len(chosen)} trained checkpoints; average as many '
                         f'or fewer (train.keep_checkpoints keeps more)')
    prefix = model_dir / 'average' / f'{Path(chosen[-1]).name}-mean-{count}'
    _save(_mean(chosen), prefix)
    names = [Path(path).name for path in chosen]
    write_whole(prefix.with_name(prefix.name + SOURCES), json.dumps(names) + '\n')
    return str(prefix)


def sources(prefix: str) -> tuple[str, ...]:
    """The checkpoints that the one at `prefix` is the mean of; empty for any other."""
    listed = Path(prefix + SOURCES)
    return tuple(json.loads(listed.read_text(encoding='utf8'))) if listed.exists() else ()


def _mean(prefixes: list[str]) -> dict[str, np.ndarray]:
    readers = [tf.train.load_checkpoint(prefix) for prefix in prefixes]
    shapes = readers[-1].get_variable_to_shape_map()
    for prefix, reader in zip(prefixes, readers, strict=True):
        if reader.get_variable_to_shape_map() != shapes:
            raise ValueError(f"{prefix} has other variables than {prefixes[-1]}: they can't be averaged")
    return {name: _mean_of([reader.get_tensor(name) for reader in readers]) for name in shapes}


def _mean_of(values: list[np.ndarray]) -> np.ndarray:
    if not np.issubdtype(values[-1].dtype, np.floating):
        return values[-1]
    return np.mean(np.stack(values).astype(np.float64), axis=0).astype(values[-1].dtype)


def _save(values: dict[str, np.ndarray], prefix: Path) -> None:
    prefix.parent.mkdir(exist_ok=True)
    with tf.Graph().as_default(), tf.Session() as session:
        fed = [tf.placeholder(value.dtype) for value in values.values()]
        saved = tf.raw_ops.SaveV2(prefix=str(prefix), tensor_names=list(values), shape_and_slices=[''] * len(values),
                                  tensors=fed)
        session.run(saved, dict(zip(fed, values.values(), strict=True)))
