"""Reduce fc6 and fc7 of slim's vgg_16.ckpt for DeepLab's LargeFOV nets, by taking every so many of their weights.

    python -m pretrained.convert_vgg16 catalog:vgg_16 pretrained/weights/vgg_16_largefov
    python -m pretrained.convert_vgg16 catalog:vgg_16 pretrained/weights/vgg_16_aspp --branches 4

Chen et al., 2015 (arXiv:1412.7062, section 3.1) subsample fc6's 7x7 positions to 4x4 or 3x3, and keep 1024 of the 4096
channels of fc6 and fc7. With `--branches` each branch of DeepLab-v2's pyramid gets a copy. A checkpoint of its own,
and not a change on restoring, because variables are restored inside the replicas of a distribution strategy.
"""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from console.command import Parser
from console.exits import DONE, guarded

SCOPE = 'vgg_16'
NAME = 'model.ckpt'


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser('pretrained.convert_vgg16', __doc__)
    parser.add_argument('checkpoint', help="slim's vgg_16.ckpt: its path, or catalog:vgg_16")
    parser.add_argument('folder', help='where to write; must not exist')
    parser.add_argument('--kernel_size', type=int, default=3, help='side of fc6: 1 to 7; default 3')
    parser.add_argument('--channels', type=int, default=1024, help='of fc6 and fc7: a divisor of 4096; default 1024')
    parser.add_argument('--branches', type=int, default=1, help="copies of fc6 and fc7, as DeepLab-v2's ASPP has them")
    options = parser.parse_args(arguments)
    written = convert(options.checkpoint, Path(options.folder), kernel_size=options.kernel_size,
                      channels=options.channels, branches=options.branches)
    print(f'{written}: fc6 {options.kernel_size}x{options.kernel_size}, {options.channels} channels'
          + (f', {options.branches} branches' if options.branches > 1 else ''))
    return DONE


def convert(source: str, folder: Path, *, kernel_size: int = 3, channels: int = 1024, branches: int = 1) -> str:
    """Writes the reduced checkpoint into `folder` and returns its prefix.

    ValueError: `folder` exists, `source` is no VGG16 with fc6 and fc7, or can't be reduced to such a shape.
    """
    if folder.exists():
        raise ValueError(f'{folder} exists; give a folder that does not')
    from pretrained import released  # TensorFlow is imported only when the flags are right
    from pretrained.checkpoint import Checkpoint
    checkpoint = Checkpoint(released.locate(source))
    values = {name: checkpoint.value(name) for name in checkpoint.model_variables()}
    values = reduced(values, checkpoint.prefix, kernel_size, channels, branches)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f'{folder.name}.') as work:
        _save(values, f'{work}/new/{NAME}')
        os.rename(f'{work}/new', folder)
    return str(folder / NAME)


def reduced(values: Mapping[str, np.ndarray], where: str, kernel_size: int, channels: int, branches: int
            ) -> dict[str, np.ndarray]:
    """The values with fc6 and fc7 of the new shapes, and without fc8, ImageNet's classes."""
    fc6, fc7 = (_layer(values, where, name) for name in ('fc6', 'fc7'))
    side, _, _, wide = fc6[0].shape
    if not 1 <= kernel_size <= side or channels < 1 or wide % channels or branches < 1:
        raise ValueError(f'kernel_size {kernel_size}, channels {channels}, branches {branches}: fc6 of {where} is '
                         f'{side}x{side} with {wide} channels; give a side up to {side}, a divisor of {wide}, and at '
                         f'least 1 branch')
    # Evenly spaced with both ends: 0, 3, 6 of 7 for 3, and 0, 2, 4, 6 for 4.
    rows = np.round(np.linspace(0, side - 1, kernel_size)).astype(int) if kernel_size > 1 else np.array([side // 2])
    kept = np.arange(0, wide, wide // channels)
    layers = {
        'fc6': (fc6[0][np.ix_(rows, rows, np.arange(fc6[0].shape[2]), kept)], fc6[1][kept]),
        'fc7': (fc7[0][:, :, kept][..., kept], fc7[1][kept]),
    }
    result = {name: value for name, value in values.items() if not name.startswith(f'{SCOPE}/fc')}
    for name, (weights, biases) in layers.items():
        for branch in [''] if branches == 1 else [f'_{i + 1}' for i in range(branches)]:
            result[f'{SCOPE}/{name}{branch}/weights'] = weights
            result[f'{SCOPE}/{name}{branch}/biases'] = biases
    return result


def _layer(values: Mapping[str, np.ndarray], where: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    try:
        return values[f'{SCOPE}/{name}/weights'], values[f'{SCOPE}/{name}/biases']
    except KeyError as error:
        raise ValueError(f"{where} has no {error.args[0]}; give slim's vgg_16.ckpt, such as catalog:vgg_16") from error


def _save(values: Mapping[str, np.ndarray], prefix: str) -> None:
    import tensorflow as tf
    Path(prefix).parent.mkdir()
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=list(values), shape_and_slices=[''] * len(values),
                      tensors=[tf.constant(value) for value in values.values()])


if __name__ == '__main__':
    sys.exit(guarded(main))
