"""Predicts image files: finds them, runs one session over all of them, writes ids, colours and overlays."""

import glob
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from console.choices import choose
from console.files import whole
from console.progress import Progress
from datasets.raw import images
from deeplab.compat import tf
from deeplab.summaries import palette_table
from deeplab.trained import checkpointed
from deeplab.trained.checkpointed import Trained

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.gif', '.tif', '.tiff', '.webp', '.ppm')
OVERLAY_OPACITY = 0.5
WAITING = 2  # decoded images held ready


class Source(NamedTuple):
    """An image to predict; outputs are `output_dir / (name + '_ids.png')` and so on."""

    path: Path
    name: str


class Failure(NamedTuple):
    """An image that was left out, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f'{self.path}: {self.reason}'


def ids_picture(ids: np.ndarray, pixels: np.ndarray, palette: np.ndarray) -> Image.Image:
    """8-bit greyscale: a pixel is its class id."""
    return Image.fromarray(ids)


def colour_picture(ids: np.ndarray, pixels: np.ndarray, palette: np.ndarray) -> Image.Image:
    """A palette picture: its values are class ids too, and it shows the dataset's colours."""
    picture = Image.fromarray(ids)
    picture.putpalette(palette.tobytes())
    return picture


def overlay_picture(ids: np.ndarray, pixels: np.ndarray, palette: np.ndarray) -> Image.Image:
    """The source, blended with the colours."""
    return Image.blend(Image.fromarray(pixels), Image.fromarray(palette[ids]), OVERLAY_OPACITY)


# format -> (ids uint8 [H,W], pixels uint8 [H,W,3], palette uint8 [256,3]) -> picture
FORMATS: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Image.Image]] = {
    'ids': ids_picture, 'colour': colour_picture, 'overlay': overlay_picture}


def choose_formats(text: str) -> list[str]:
    """'ids,overlay' -> ['ids', 'overlay']; ValueError for what isn't a format."""
    return [choose('--format', name.strip(), tuple(FORMATS)) for name in text.split(',')]


def find_sources(inputs: Sequence[str], output_dir: Path, list_dir: Path | None = None) -> list[Source]:
    """Images of files, folders, globs and lists (`.txt`, a path a line), each once, in order.

    Paths of a list are relative to `list_dir`, by default to the list itself.

    Folders are searched below for files with an image suffix, but not below output_dir. Sub-folders beneath what all
    images have in common are kept in the names, and of images that differ in the suffix alone, the suffix.

    Raises:
      ValueError: an input names nothing, or two outputs would have one name.
    """
    paths = list(dict.fromkeys(Path(os.path.abspath(path)) for one in inputs
                               for path in _expand(one, output_dir, list_dir)))
    single = len(inputs) == 1 and Path(inputs[0]).is_dir()
    root = Path(os.path.abspath(inputs[0])) if single else Path(os.path.commonpath([path.parent for path in paths]))
    stems = Counter(path.with_suffix('') for path in paths)
    sources = [Source(path, (path if stems[path.with_suffix('')] > 1 else path.with_suffix(''))
                      .relative_to(root).as_posix()) for path in paths]
    twice = [name for name, count in Counter(source.name for source in sources).items() if count > 1]
    if twice:
        raise ValueError(f'two images would write the same outputs, {twice[0]}_*.png: predict them into different '
                         f'folders')
    return sources


def _expand(given: str, output_dir: Path, list_dir: Path | None) -> list[Path]:
    path = Path(given)
    if path.is_dir():
        found = sorted(_below(path, output_dir.resolve()))
    elif path.suffix.lower() == '.txt' and path.is_file():
        lines = path.read_text(encoding='utf-8-sig').splitlines()
        found = [(list_dir or path.parent) / line.strip() for line in lines if line.strip()]
    elif path.exists():
        found = [path]
    else:
        found = [Path(match) for match in sorted(glob.glob(given, recursive=True)) if os.path.isfile(match)]
    if not found:
        raise ValueError(f'--input {given}: no image there (a file, a folder with {" ".join(SUFFIXES)} files, a '
                         f'glob in quotes, or a .txt list of paths)')
    return found


def _below(folder: Path, output_dir: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if Path(parent, name).resolve() != output_dir]
        yield from (Path(parent, name) for name in files if name.lower().endswith(SUFFIXES))


def outputs(source: Source, output_dir: Path, formats: Iterable[str]) -> dict[str, Path]:
    """{format: path of its PNG}."""
    return {name: output_dir / f'{source.name}_{name}.png' for name in formats}


def refuse_overwriting(sources: Sequence[Source], output_dir: Path, formats: Sequence[str], overwrite: bool) -> None:
    """ValueError where an output would replace an input, or, without `overwrite`, anything."""
    refuse_replacing(sources, [path for source in sources for path in outputs(source, output_dir, formats).values()],
                     overwrite)


def refuse_replacing(sources: Sequence[Source], targets: Sequence[Path], overwrite: bool) -> None:
    """`refuse_overwriting` for files of any names."""
    read = {source.path for source in sources}
    for path in targets:
        if Path(os.path.abspath(path)) in read:
            raise ValueError(f'{path} would overwrite an input: choose another --output_dir')
    present = [path for path in targets if path.exists()]
    if present and not overwrite:
        raise ValueError(f'{len(present)} outputs exist already, such as {present[0]}: give --overwrite or another '
                         f'--output_dir')


def read_image(path: Path) -> np.ndarray:
    """uint8 RGB [H,W,3], decoded as evaluation decodes records; every mode becomes RGB as at conversion.

    Raises:
      ValueError: empty, unreadable, damaged, or above `images.MAX_PIXELS`.
    """
    # What conversion would put into a record. Pillow decodes JPEGs exactly as TensorFlow's INTEGER_ACCURATE.
    return images.read(path).pixels()


def infer(model: Trained, sources: Sequence[Source], output_dir: Path, formats: Sequence[str]) -> list[Failure]:
    """Writes the PNGs of every source, at its size, and returns those that failed; each is also reported at once."""
    palette = palette_table(model.run.dataset.palette)

    def write(source: Source, ids: np.ndarray, pixels: np.ndarray) -> None:
        for name, path in outputs(source, output_dir, formats).items():
            save(FORMATS[name](ids, pixels, palette), path)

    return infer_each(model, sources, write)


def infer_each(model: Trained, sources: Sequence[Source], write: Callable[[Source, np.ndarray, np.ndarray], None]
               ) -> list[Failure]:
    """Calls write(source, ids uint8 [H,W], pixels uint8 [H,W,3]) for every source; returns those that failed."""
    failures: list[Failure] = []

    def fail(source: Source, error: Exception) -> None:
        failures.append(Failure(source.path, str(error) or type(error).__name__))
        print('\n' * sys.stderr.isatty() + f'error: {failures[-1]}', file=sys.stderr, flush=True)
        progress.update()

    with checkpointed.folder_for_events(None) as folder, Progress(len(sources), 'predicting') as progress:
        predictions = model.make_estimator(folder).predict(
            lambda: _dataset(sources, fail), predict_keys=['classes', 'pixels', 'number'],
            checkpoint_path=model.prefix, yield_single_examples=False)
        for prediction in predictions:
            source = sources[prediction['number'][0]]
            ids = prediction['classes'][0].astype(np.uint8)
            try:
                write(source, ids, prediction['pixels'][0])
            except OSError as error:
                fail(source, error)
            else:
                progress.update()
    return failures


def _dataset(sources: Sequence[Source], fail: Callable[[Source, Exception], None]) -> tf.data.Dataset:
    """One image a batch, read by a thread while the one before it is predicted."""
    def read() -> Iterator[tuple[np.ndarray, int]]:
        for number, source in enumerate(sources):
            try:
                yield read_image(source.path), number
            except Exception as error:  # Pillow's plugins raise almost anything on a damaged file
                fail(source, error)

    kinds = (tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([], tf.int64))
    pairs = tf.data.Dataset.from_generator(read, output_signature=kinds)
    named = pairs.map(lambda pixels, number: {
        'image': tf.cast(pixels, tf.float32), 'pixels': pixels, 'number': number})
    return named.batch(1).prefetch(WAITING)


def save(picture: Image.Image, path: Path) -> None:
    """Writes a PNG."""
    with whole(path) as aside:
        picture.save(aside, 'png')
