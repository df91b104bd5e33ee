"""Draws the embedded dataset in the Pascal VOC layout.

    python -m datasets.synthetic --output_dir raw

Objects are told apart by outline and texture: every object and background takes its colours at random. Labels are
palette PNGs with void borders, sizes are odd and vary, and 'ring' is rare. The same seed draws the same bytes.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from console.command import Parser, positive
from console.exits import DONE, guarded
from console.files import write_whole
from console.progress import Progress
from datasets import row as rows

# Chance of each class when an object is drawn.
FREQUENCY = {'disc': 0.28, 'square': 0.25, 'triangle': 0.24, 'stripes': 0.17, 'ring': 0.06}
SIZES = np.arange(121, 201, 2)
VOID = 255
VOID_COLOR = (224, 224, 192)
VOID_HALF_WIDTH = 1.5
JPEG_QUALITY = 90


def draw_dataset(output_dir: str | Path, num_images: dict[str, int], seed: int = 0) -> None:
    """Draws num_images[split] images for each split; lists are written last, so an interrupted set isn't taken."""
    root = Path(output_dir)
    for folder in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    with Progress(sum(num_images.values()), 'drawing') as progress:
        for position, (split, count) in enumerate(num_images.items()):
            for number in range(count):
                image, label = draw(np.random.RandomState([seed, position, number]))
                save(root, _id(split, number), image, label)
                progress.update()
    for split, count in num_images.items():
        write_whole(root / 'ImageSets' / 'Segmentation' / f'{split}.txt',
                    ''.join(f'{_id(split, number)}\n' for number in range(count)))


def _id(split: str, number: int) -> str:
    return f'{split}_{number:05d}'


def save(root: Path, name: str, image: np.ndarray, label: np.ndarray) -> None:
    """Writes the JPEG and the palette PNG of one example."""
    Image.fromarray(image).save(root / 'JPEGImages' / f'{name}.jpg', quality=JPEG_QUALITY)
    palette = np.zeros((256, 3), np.uint8)
    colors = rows.load('synthetic').palette
    palette[:len(colors)] = colors
    palette[VOID] = VOID_COLOR
    indexed = Image.fromarray(label)
    indexed.putpalette(palette.tobytes())
    indexed.save(root / 'SegmentationClass' / f'{name}.png')


def draw(random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """An image uint8 [h, w, 3] with two to five objects, and its label uint8 [h, w]."""
    height, width = random.choice(SIZES, 2)
    image = background(random, height, width)
    label = np.zeros((height, width), np.uint8)
    classes = rows.load('synthetic').class_names
    for name in random.choice(list(FREQUENCY), random.randint(2, 6), p=list(FREQUENCY.values())):
        distance, shading = OBJECTS[name](random, *placed(random, height, width))
        paint(image, distance, shading, random)
        label[distance < VOID_HALF_WIDTH] = VOID
        label[distance < -VOID_HALF_WIDTH] = classes.index(name)
    image += random.normal(0, random.uniform(2, 9), image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), label


def background(random: np.random.RandomState, height: int, width: int) -> np.ndarray:
    """Blotches and a slope of light in random colours, float [height, width, 3]."""
    coarse = Image.fromarray(random.randint(0, 256, (random.randint(2, 7), random.randint(2, 7), 3)).astype(np.uint8))
    blotches = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float64)
    above, below = random.uniform(0.6, 1.4, 2)
    slope = np.linspace(above, below, height)[:, None, None]
    return (random.uniform(0, 255, 3) + random.uniform(0.15, 0.45) * (blotches - 128)) * slope


def placed(random: np.random.RandomState, height: int, width: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Coordinates in pixels [height, width] with a random origin and rotation, and an object's radius."""
    radius = random.uniform(0.13, 0.30) * min(height, width)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    y -= random.uniform(0.1, 0.9) * height
    x -= random.uniform(0.1, 0.9) * width
    angle = random.uniform(0, 2 * np.pi)
    return np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x, radius


def paint(image: np.ndarray, distance: np.ndarray, shading: np.ndarray, random: np.random.RandomState) -> None:
    """Blends an object in, with a soft edge; distance is in pixels and negative inside, shading is in 0..1."""
    dark, light = random.uniform(0, 120, 3), random.uniform(130, 255, 3)
    if random.rand() < 0.3:
        dark, light = light, dark
    alpha = np.clip(0.5 - distance, 0, 1)[..., None]
    image += alpha * (dark + (light - dark) * np.clip(shading, 0, 1)[..., None] - image)


# Each object: (random, x, y, radius) -> signed distance from its outline and its texture, both [height, width].
Drawn = tuple[np.ndarray, np.ndarray]


def disc(random: np.random.RandomState, x: np.ndarray, y: np.ndarray, radius: float) -> Drawn:
    """Shaded like a ball."""
    from_light = np.hypot(x - 0.4 * radius, y) / radius
    return np.hypot(x, y) - radius, 1 - 0.65 * from_light


def square(random: np.random.RandomState, x: np.ndarray, y: np.ndarray, radius: float) -> Drawn:
    """Chequered."""
    cell = random.uniform(5, 9)
    chequer = (np.floor(x / cell) + np.floor(y / cell)) % 2
    return np.maximum(np.abs(x), np.abs(y)) - 0.85 * radius, 0.25 + 0.5 * chequer


def triangle(random: np.random.RandomState, x: np.ndarray, y: np.ndarray, radius: float) -> Drawn:
    """Covered with fine grain."""
    third = np.sqrt(0.75) * np.abs(x) + 0.5 * y
    return np.maximum(third, -y) - 0.68 * radius, random.rand(*x.shape)


def stripes(random: np.random.RandomState, x: np.ndarray, y: np.ndarray, radius: float) -> Drawn:
    """A striped blob without a fixed outline."""
    angle = np.arctan2(y, x)
    waves = sum(height * np.cos(lobes * angle + phase) for lobes, height, phase in
                zip((2, 3, 4), random.uniform(-0.12, 0.12, 3), random.uniform(0, 2 * np.pi, 3), strict=True))
    period = random.uniform(6, 10)
    return np.hypot(x, y) - radius * (0.95 + waves), 0.5 + 0.5 * np.sin(2 * np.pi * x / period)


def ring(random: np.random.RandomState, x: np.ndarray, y: np.ndarray, radius: float) -> Drawn:
    """Smooth, lighter on one side, with the background seen through its hole."""
    thickness = max(0.22 * radius, 4.0)
    return np.abs(np.hypot(x, y) - radius) - thickness, 0.5 + 0.4 * x / radius


OBJECTS = {'disc': disc, 'square': square, 'triangle': triangle, 'stripes': stripes, 'ring': ring}


def main(arguments: Sequence[str] | None = None) -> int:
    splits = rows.load('synthetic').splits
    parser = Parser('datasets.synthetic', __doc__)
    parser.add_argument('--output_dir', required=True, help='where ImageSets, JPEGImages and SegmentationClass go')
    parser.add_argument('--seed', type=int, default=0, help='of what is drawn; default %(default)s')
    for split in splits:
        parser.add_argument(f'--num_{split}', type=positive, default=splits[split].num_images,
                            help='images; default %(default)s')
    options = parser.parse_args(arguments)
    draw_dataset(options.output_dir, {split: getattr(options, f'num_{split}') for split in splits}, options.seed)
    print(f'synthetic: {", ".join(splits)} in {options.output_dir}')
    return DONE


if __name__ == '__main__':
    sys.exit(guarded(main))
