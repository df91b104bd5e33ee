"""Finding and reading checkpoints. They are only ever read: nothing in one is executed."""

import hashlib
import math
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

Shape = tuple[int, ...]
LISTED = 10  # names that a message spells out

# Belongs to a run and not to a model, as do slots such as conv/weights/Momentum: those hang below another variable.
TRAINING_STATE = ('global_step', 'beta1_power', 'beta2_power', 'current_loss_scale', 'good_steps', 'skipped_updates')


def locate(path: str | Path) -> str:
    """The prefix of a checkpoint given as folder, prefix, `.index` or `.data` file; of a folder the newest.

    Also the one-file format of TensorFlow's first releases, in which slim's ImageNet weights come.
    """
    path = Path(path)
    if path.is_dir():
        return _newest(path)
    prefix = re.sub(r'\.(index|meta|data-\d{5}-of-\d{5})$', '', str(path))
    if prefix.endswith(('.tar.gz', '.tgz', '.tar', '.zip')) and path.exists():
        raise ValueError(f'{path} is an archive; unpack it and give the folder')
    if _exists(prefix):
        return prefix
    raise ValueError(f'there is no checkpoint {path}; {_holds(path.parent)}')


def _exists(prefix: str) -> bool:
    return Path(f'{prefix}.index').is_file() or Path(prefix).is_file()


def _newest(folder: Path) -> str:
    state = tf.train.get_checkpoint_state(str(folder))
    if state and state.model_checkpoint_path:
        # A folder that was moved may still name its checkpoint by the old absolute path.
        for prefix in (state.model_checkpoint_path, str(folder / Path(state.model_checkpoint_path).name)):
            if _exists(prefix):
                return prefix
        raise ValueError(f'{folder / "checkpoint"} names {state.model_checkpoint_path}, which does not exist; '
                         f'{_holds(folder)}')
    found = sorted(str(path.with_suffix('')) for path in folder.glob('*.index'))
    found = found or sorted(str(path) for path in folder.glob('*.ckpt') if path.is_file())
    if len(found) != 1:
        problem = f'{len(found)} checkpoints and no file that says which is the newest' if found else 'no checkpoint'
        raise ValueError(f'{folder} has {problem}; {_holds(folder)}. Give one as {folder}/<name>')
    return found[0]


def _holds(folder: Path) -> str:
    if not folder.is_dir():
        return f'there is no folder {folder} either'
    return f'{folder} holds {some(sorted(path.name for path in folder.iterdir())) or "nothing"}'


def some(names: Iterable[str], separator: str = ', ') -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = [f'and {len(names) - LISTED} more'] if len(names) > LISTED else []
    return separator.join(names[:LISTED] + more)


class Checkpoint:
    """The variables of a checkpoint; whatever is wrong with its files is a ValueError that names them."""

    def __init__(self, prefix: str):
        self.prefix = prefix
        try:
            self._reader = tf.train.load_checkpoint(prefix)
            self.shapes: dict[str, Shape] = {k: tuple(v) for k, v in self._reader.get_variable_to_shape_map().items()}
            self.dtypes: dict[str, tf.DType] = dict(self._reader.get_variable_to_dtype_map())
        except Exception as error:  # each kind of damage has its own type, down to IndexError
            raise self._unreadable(error) from error
        if Path(f'{prefix}.index').is_file():
            self._check_size()

    def _unreadable(self, error: object) -> ValueError:
        return ValueError(f'checkpoint {self.prefix} is damaged or not a checkpoint: {error}. Fetch or copy it again')

    def _check_size(self) -> None:
        """Finds a lost or cut data file, and shapes that no data stands for, before memory is taken for them."""
        files = list(Path(self.prefix).parent.glob(f'{Path(self.prefix).name}.data-?????-of-?????'))
        size = sum(path.stat().st_size for path in files)
        needed = sum(math.prod(shape) * self.dtypes[name].size for name, shape in self.shapes.items())
        if size < needed:
            raise self._unreadable(f'{len(files)} .data files with {size} bytes, {needed} are needed')

    def value(self, name: str) -> np.ndarray:
        """A tensor, its checksum verified."""
        try:
            return self._reader.get_tensor(name)
        except Exception as error:  # as above
            raise self._unreadable(f'{name}: {error}') from error

    def model_variables(self) -> list[str]:
        """Sorted names without optimizer slots, steps and the like."""
        return sorted(name for name in self.shapes if not self._is_training_state(name))

    def _is_training_state(self, name: str) -> bool:
        return name in TRAINING_STATE or name.rpartition('/')[0] in self.shapes


def fingerprint(prefix: str) -> str:
    """SHA-256 of the model variables' names, types, shapes and values: equal weights, equal fingerprint."""
    checkpoint = Checkpoint(prefix)
    digest = hashlib.sha256()
    for name in checkpoint.model_variables():
        value = checkpoint.value(name)
        digest.update(f'{name} {value.dtype.str} {value.shape}\n'.encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
