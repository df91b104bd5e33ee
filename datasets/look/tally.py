"""What a split's labels hold in all, and which of its examples are odd."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from datasets.records import class_weights


@dataclass
class Tally:
    """Counts over a split's examples; `add` each of them.

    `class_image_pixels` are the pixels of the images that show a class. `empty` and `single` are the positions of
    examples that show no class and only one; `void` is the share of ignored pixels of each example by position.
    """

    num_classes: int
    ignore_label: int
    num_images: int = 0
    ignored_pixels: int = 0
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    empty: list[int] = field(default_factory=list)
    single: list[int] = field(default_factory=list)
    void: dict[int, float] = field(default_factory=dict)
    class_pixels: np.ndarray = field(init=False)
    class_images: np.ndarray = field(init=False)
    class_image_pixels: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.class_pixels, self.class_images, self.class_image_pixels = np.zeros((3, self.num_classes), np.int64)

    def add(self, position: int, size: tuple[int, int], pixels: np.ndarray) -> None:
        """An example's (height, width) and pixels per id, int64 [256]."""
        counts = pixels[:self.num_classes].copy()
        ignored = int(pixels[self.ignore_label])
        if self.ignore_label < self.num_classes:
            counts[self.ignore_label] = 0
        shown = counts > 0
        self.num_images += 1
        self.sizes[size] += 1
        self.ignored_pixels += ignored
        self.class_pixels += counts
        self.class_images += shown
        self.class_image_pixels += shown * (size[0] * size[1])
        self.void[position] = ignored / (size[0] * size[1])
        if not shown.any():
            self.empty.append(position)
        elif shown.sum() == 1:
            self.single.append(position)

    def worst(self, count: int) -> list[tuple[int, str]]:
        """Positions of odd examples and what is odd: all void, then of a single class, then those with most void."""
        half = count - count // 2 if self.single else count
        chosen = dict.fromkeys(self.empty[:half], 'all void')
        chosen |= dict.fromkeys(self.single[:count - len(chosen)], 'single class')
        for position in sorted(self.void, key=self.void.__getitem__, reverse=True):
            if len(chosen) < count and self.void[position] > 0:
                chosen.setdefault(position, f'{100 * self.void[position]:.0f} % void')
        return list(chosen.items())


def table(tally: Tally, class_names: tuple[str, ...]) -> str:
    """Frequencies and weights of the classes, in Markdown."""
    total = max(int(tally.class_pixels.sum()), 1)
    weights = zip(*_weights(tally), strict=True)
    lines = ['| Id | Class | Pixels | Share | Images | Share where shown | ENet weight | Median frequency weight |',
             '|---|---|---|---|---|---|---|---|']
    for label, (name, (enet, median)) in enumerate(zip(class_names, weights, strict=True)):
        pixels, shown = int(tally.class_pixels[label]), int(tally.class_image_pixels[label])
        where = f'{100 * pixels / shown:.2f} %' if shown else '-'
        lines.append(f'| {label} | {name} | {pixels} | {100 * pixels / total:.3f} % | {tally.class_images[label]} | '
                     f'{where} | {enet:.4f} | {median:.4f} |')
    return '\n'.join(lines)


def _weights(tally: Tally) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if not tally.class_pixels.any():
        return (0.0,) * tally.num_classes, (0.0,) * tally.num_classes
    pixels, shown = tally.class_pixels.tolist(), tally.class_image_pixels.tolist()
    return class_weights.enet(pixels), class_weights.median_frequency(pixels, shown)


def summary(tally: Tally) -> str:
    """Sizes, void and odd examples in a few lines."""
    heights, widths = zip(*tally.sizes.elements(), strict=True)
    common = ', '.join(f'{width}x{height} ({count})' for (height, width), count in tally.sizes.most_common(5))
    more = f' and {len(tally.sizes) - 5} more' if len(tally.sizes) > 5 else ''
    pixels = sum(height * width * count for (height, width), count in tally.sizes.items())
    return (f'{tally.num_images} images, {len(tally.sizes)} sizes: {common}{more}\n'
            f'width {min(widths)} to {max(widths)}, median {np.median(widths):.0f}; '
            f'height {min(heights)} to {max(heights)}, median {np.median(heights):.0f}\n'
            f'{100 * tally.ignored_pixels / pixels:.2f} % of all pixels are void (id {tally.ignore_label})\n'
            f'{len(tally.empty)} all void, {len(tally.single)} of a single class')
