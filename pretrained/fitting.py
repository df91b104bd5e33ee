"""A released checkpoint in the shapes of a net that reduces some of its layers."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from pretrained import convert_vgg16
from pretrained.checkpoint import Checkpoint, Shape

FC6 = re.compile(rf'{convert_vgg16.SCOPE}/fc6(_\d+)?/weights')


def fitted(prefix: str, variables: Mapping[str, Shape], folder: Path) -> str:
    """The prefix of a checkpoint that fits fc6 and fc7 of the model's variables, where `prefix` is slim's whole VGG16.

    LargeFOV nets have them reduced; the copy is written into `folder`, in place of an older one. Any other checkpoint
    is returned as it is.
    """
    wanted = {tuple(shape) for name, shape in variables.items() if FC6.fullmatch(name)}
    there = Checkpoint(prefix).shapes.get(f'{convert_vgg16.SCOPE}/fc6/weights')
    if len(wanted) != 1 or there is None or there in wanted:
        return prefix
    (kernel_size, _, _, channels), = wanted
    branches = sum(1 for name in variables if FC6.fullmatch(name))
    shutil.rmtree(folder, ignore_errors=True)
    return convert_vgg16.convert(prefix, folder, kernel_size=kernel_size, channels=channels, branches=branches)
