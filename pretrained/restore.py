"""Which of a checkpoint's variables a model takes, said before a graph is built."""

import dataclasses
import difflib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import tensorflow as tf

from pretrained.checkpoint import LISTED, TRAINING_STATE, Checkpoint, Shape, fingerprint, locate, some

__all__ = ['Report', 'assignment_map', 'check_compatible', 'fingerprint', 'locate', 'plan']


@dataclasses.dataclass(frozen=True)
class Report:
    """What a model takes from a checkpoint. Names are in the model's order, `unused` in the checkpoint's."""

    prefix: str
    restored: tuple[str, ...]
    missing: tuple[str, ...]
    misshaped: Mapping[str, tuple[Shape, Shape]]  # name -> (shape in the model, in the checkpoint)
    excluded: tuple[str, ...]
    unused: tuple[str, ...]

    def dropped_head(self) -> tuple[str, ...]:
        """Mis-shaped variables that differ in the last dimension only: another number of classes."""
        return tuple(name for name, (here, there) in self.misshaped.items()
                     if len(here) == len(there) and here[:-1] == there[:-1])

    def text(self) -> str:
        """A table by top-level scope, then what isn't restored and why."""
        columns = {'restored': self.restored, 'missing': self.missing, 'other shape': tuple(self.misshaped),
                   'left out': self.excluded}
        counts = {title: _by_scope(names) for title, names in columns.items()}
        scopes = sorted({scope for count in counts.values() for scope in count})
        width = max(map(len, scopes))
        lines = [f'initial weights from {self.prefix}', ' ' * width + ''.join(f'{title:>13}' for title in columns)]
        lines += [f'{scope:{width}}' + ''.join(f'{count[scope]:13}' for count in counts.values()) for scope in scopes]
        shapes = {name: f'{name} {_shapes(*both)}' for name, both in self.misshaped.items()}
        head = self.dropped_head()
        for title, names in (('head dropped, for another number of classes', [shapes[name] for name in head]),
                             ('other shape', [shapes[name] for name in shapes if name not in head]),
                             ('not in the checkpoint', self.missing), ('left out as asked', self.excluded),
                             ('not used by the model', self.unused)):
            if names:
                lines.append(f'{title} ({len(names)}): {some(names, "; ")}')
        return '\n'.join(lines)


def _by_scope(names: Iterable[str]) -> Counter:
    return Counter(name.split('/')[0] for name in names)


def _shapes(here: Shape, there: Shape) -> str:
    return f'{list(here)} here, {list(there)} in the checkpoint'


def plan(prefix: str, variables: Mapping[str, Shape], *, scope: str = '', exclude: Collection[str] = ()) -> Report:
    """Matches model variables {name: shape} with a checkpoint by name, and reads what matches once to verify it.

    The names in `exclude` are left out; slots and global_step always are.

    Raises:
      ValueError: a variable below `scope`, the backbone's, is missing or has another shape; nothing matches; the
        checkpoint is damaged or holds values that aren't finite float32.
    """
    checkpoint = Checkpoint(prefix)
    available = dict.fromkeys(checkpoint.model_variables())
    wanted = {name: tuple(shape) for name, shape in variables.items() if name not in TRAINING_STATE}
    excluded = [name for name in wanted if name in exclude]
    present = [name for name in wanted if name in available and name not in excluded]
    report = Report(
        prefix=prefix,
        restored=tuple(name for name in present if wanted[name] == checkpoint.shapes[name]),
        missing=tuple(name for name in wanted if name not in {*available, *excluded}),
        misshaped={name: (wanted[name], checkpoint.shapes[name]) for name in present
                   if wanted[name] != checkpoint.shapes[name]},
        excluded=tuple(excluded),
        unused=tuple(name for name in available if name not in wanted))
    _require_backbone(report, checkpoint, scope)
    if not report.restored:
        raise ValueError(f'{prefix} has nothing for this model; {_contents(checkpoint)}')
    _require_values(report, checkpoint)
    return report


def _require_backbone(report: Report, checkpoint: Checkpoint, scope: str) -> None:
    if not scope:
        return
    lacking = {name: _shapes(*shapes) for name, shapes in report.misshaped.items()}
    lacking |= dict.fromkeys(report.missing, 'is not in the checkpoint')
    lacking = {name: reason for name, reason in lacking.items() if name.startswith(f'{scope}/')}
    if not lacking:
        return
    lines = [f'{name} {reason}{_hint(name, checkpoint) if name in report.missing else ""}'
             for name, reason in list(lacking.items())[:LISTED]]
    lines += [f'and {len(lacking) - LISTED} more'] if len(lacking) > LISTED else []
    raise ValueError(
        f'{report.prefix} does not cover the backbone {scope}: {len(lacking)} variables are missing or have another '
        f'shape\n  ' + '\n  '.join(lines) + f'\n{_contents(checkpoint)}\n'
        f'Choose the backbone and options that it was trained with, or another checkpoint')


def _hint(name: str, checkpoint: Checkpoint) -> str:
    """The likeliest name of what is missing: the same below another scope, or the most similar."""
    available = checkpoint.model_variables()
    nested = [other for other in available if other.endswith(f'/{name}')]
    near = nested or difflib.get_close_matches(name, available, 1)
    return f'; nearest there is {near[0]} {list(checkpoint.shapes[near[0]])}' if near else ''


def _contents(checkpoint: Checkpoint) -> str:
    scopes = _by_scope(checkpoint.model_variables())
    return f'it holds variables below {some(f"{scope} ({count})" for scope, count in sorted(scopes.items()))}'


def _require_values(report: Report, checkpoint: Checkpoint) -> None:
    other_type = [f'{name} {checkpoint.dtypes[name].name}' for name in report.restored
                  if checkpoint.dtypes[name] != tf.float32]
    if other_type:
        raise ValueError(f'{report.prefix} has variables that are not float32: {some(other_type)}')
    not_finite = [name for name in report.restored if not np.isfinite(checkpoint.value(name)).all()]
    if not_finite:
        raise ValueError(f'{report.prefix} holds values that are not finite: {some(not_finite)}')


def assignment_map(report: Report) -> dict[str, str]:
    """For `tf.train.init_from_checkpoint(report.prefix, ...)`, which also works inside a strategy's replicas."""
    return {name: name for name in report.restored}


def check_compatible(prefix: str, variables: Mapping[str, Shape], optional: Collection[str] = ()) -> None:
    """Raises ValueError unless the checkpoint has exactly these model variables; Estimator itself doesn't look.

    It may have those named by `optional` besides: of auxiliary heads, which only training builds.

    With other shapes it trains for ever on a restarting session, or exports a model that contradicts its signature.
    """
    checkpoint = Checkpoint(prefix)
    wanted = {name: tuple(shape) for name, shape in variables.items() if name not in TRAINING_STATE}
    available = {name: checkpoint.shapes[name] for name in checkpoint.model_variables()}
    lines = [f'{name} {list(wanted[name])} is not in the checkpoint' for name in wanted if name not in available]
    lines += [f'{name} {list(available[name])} is only in the checkpoint' for name in available
              if name not in wanted and name not in optional]
    lines += [f'{name} {_shapes(wanted[name], available[name])}' for name in wanted
              if name in available and wanted[name] != available[name]]
    if lines:
        listed = some(lines, '\n  ')
        raise ValueError(f'{prefix} belongs to another model; {len(lines)} variables differ:\n  {listed}\n'
                         f'Use the recipe that it was trained with, or another --model_dir')
