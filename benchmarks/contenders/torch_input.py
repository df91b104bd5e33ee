"""A training input of VOC by PyTorch's loader, augmented as the official DeepLab does: torchvision and albumentations.

Both decode JPEG and PNG files, scale by 0.5 to 2 in steps of 0.25, pad, crop and mirror, and deliver float32 images.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler

from benchmarks.contenders.pictures import IGNORE
from benchmarks.contenders.worker import Contender, repeat, serve

SCALES = [0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0]
GREY = 127


def torchvision() -> None:
    serve(_torchvision)


def albumentations() -> None:
    serve(_albumentations)


class Files(Dataset):
    def __init__(self, folder: str, example: Callable[[str, str], tuple[Any, Any]]):
        self.paths = [(str(path), str(path.with_suffix('.png'))) for path in sorted(Path(folder).glob('*.jpg'))]
        self.example = example

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self.example(*self.paths[index])


def _torchvision(folder: str, side: int, batch: int, **_: Any) -> Contender:
    import torchvision as package
    from torchvision.io import ImageReadMode, decode_image
    from torchvision.transforms.v2 import functional

    def example(image_file: str, label_file: str) -> tuple[Any, Any]:
        image, label = decode_image(image_file, ImageReadMode.RGB), decode_image(label_file, ImageReadMode.GRAY)
        scale = random.choice(SCALES)
        size = [int(length * scale) for length in image.shape[1:]]
        image = functional.resize(image, size, antialias=False)
        label = functional.resize(label, size, functional.InterpolationMode.NEAREST)
        missing = [0, 0, max(side - size[1], 0), max(side - size[0], 0)]
        image, label = functional.pad(image, missing, GREY), functional.pad(label, missing, IGNORE)
        top, left = (random.randint(0, length - side) for length in image.shape[1:])
        image, label = (functional.crop(each, top, left, side, side) for each in (image, label))
        if random.random() < 0.5:
            image, label = functional.hflip(image), functional.hflip(label)
        return image.float(), label[0].int()

    return _loading(folder, example, batch, package)


def _albumentations(folder: str, side: int, batch: int, **_: Any) -> Contender:
    os.environ['NO_ALBUMENTATIONS_UPDATE'] = '1'
    import albumentations as package
    import cv2
    cv2.setNumThreads(0)
    finish = package.Compose([
        package.PadIfNeeded(side, side, position='top_left', border_mode=cv2.BORDER_CONSTANT, fill=GREY,
                            fill_mask=IGNORE),
        package.RandomCrop(side, side), package.HorizontalFlip(p=0.5)])
    scaled = {scale: package.Compose([package.RandomScale((scale - 1, scale - 1), p=1), finish]) for scale in SCALES}

    def example(image_file: str, label_file: str) -> tuple[Any, Any]:
        image = cv2.cvtColor(cv2.imread(image_file), cv2.COLOR_BGR2RGB)
        made = scaled[random.choice(SCALES)](image=image, mask=cv2.imread(label_file, cv2.IMREAD_GRAYSCALE))
        image, label = torch.from_numpy(made['image']), torch.from_numpy(made['mask'])
        return image.permute(2, 0, 1).float(), label.int()

    return _loading(folder, example, batch, package)


def _loading(folder: str, example: Callable[[str, str], tuple[Any, Any]], batch: int, package: Any) -> Contender:
    data = Files(folder, example)
    loader = DataLoader(data, batch, sampler=RandomSampler(data, replacement=True, num_samples=10 ** 9),
                        num_workers=len(os.sched_getaffinity(0)))
    batches = iter(loader)
    return Contender(lambda count: repeat(lambda: next(batches))(count // batch),
                     {'versions': {'torch': torch.__version__, package.__name__: package.__version__}})
