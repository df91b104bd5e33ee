"""A trained model -> SavedModel, and the proof that it predicts what `predict` does.

Signatures, both giving 'classes' int32 [N,H,W] and 'probabilities' float32 [N,H,W,C]:
  serving_default  'images' uint8 [N,H,W,3], RGB, any size
  image_bytes      'image_bytes' string [N], JPEG or PNG, equal sizes in a batch, at most MAX_PIXELS pixels each
Padding, normalisation and the evaluation protocol (scales, flip, tiles, CRF) are inside.
"""

import contextlib
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from console.exits import Failed
from datasets.raw.images import MAX_PIXELS
from deeplab.compat import tf
from deeplab.predicting.forward import forward_pass
from deeplab.predicting.predict import predict
from deeplab.recipes import recipe as recipes
from deeplab.trained import checkpointed
from deeplab.trained.checkpointed import Trained
from deeplab.training.devices import session_config
from pretrained import restore

LABELS = Path('assets.extra', 'labels.json')
JPEG_MAGIC = b'\xff\xd8\xff'
PNG_MAGIC = b'\x89PNG\r\n\x1a\n'
PNG_SIZE_AT = 16  # width and height, 4 bytes each, big endian
TOLERANCE = 1e-5  # of probabilities, between the SavedModel and `predict`
PARITY_SHAPES = ((1, 97, 131, 3), (2, 64, 80, 3))  # odd and even, a batch of one and of several


@dataclass(frozen=True)
class Parity:
    """How far a SavedModel is from `predict` on one batch of images."""

    signature: str
    shape: tuple[int, ...]
    different_pixels: int
    largest_difference: float

    @property
    def passed(self) -> bool:
        return self.different_pixels == 0 and self.largest_difference <= TOLERANCE

    def __str__(self) -> str:
        return (f'parity {self.signature} {"x".join(map(str, self.shape))}: {self.different_pixels} pixels of another '
                f'class, largest difference of a probability {self.largest_difference:.1e}: '
                f'{"ok" if self.passed else "FAILED"}')


class ParityFailed(Failed):
    """The SavedModel doesn't predict what `predict` does; it was removed."""


def export(model: Trained, export_dir: Path, report: Callable[[Parity], None] = print) -> Path:
    """Writes export_dir/<timestamp>, the layout of TF Serving, after checking parity; `report` gets the figures.

    The recipe's precision must be float32: a reduced one is a session's option, which a SavedModel can't carry.

    Raises:
      ParityFailed: nothing was left behind, and nothing that existed was touched.
    """
    with _published_when_complete(export_dir) as (work, final):
        _write(model, work)
        labels = work / LABELS
        labels.parent.mkdir()
        labels.write_text(json.dumps(describe(model), indent=1) + '\n', encoding='utf8')
        found = list(parity(model, work))
        for one in found:
            report(one)
        if not all(one.passed for one in found):
            raise ParityFailed('the exported model differs from predict; it was removed')
    return final


@contextlib.contextmanager
def _published_when_complete(export_dir: Path) -> Iterator[tuple[Path, Path]]:
    """(folder to write into, its final name): renamed at the end, removed after an error."""
    export_dir.mkdir(parents=True, exist_ok=True)
    stamp = int(time.time())
    while (export_dir / str(stamp)).exists():
        stamp += 1
    work, final = export_dir / f'temp-{stamp}-{os.getpid()}', export_dir / str(stamp)
    try:
        yield work, final
        work.rename(final)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write(model: Trained, folder: Path) -> None:
    with tf.Graph().as_default(), tf.Session(config=session_config('float32')) as session:
        encoded = tf.placeholder(tf.string, [None], 'image_bytes')
        # Either input can be fed: fed images make the decoder before them unnecessary.
        images = tf.placeholder_with_default(decode(encoded), [None, None, None, 3], 'images')
        prediction = predict(forward_pass(model.run), tf.cast(images, tf.float32), model.run.recipe.evaluation)
        results = {name: tf.identity(value, name) for name, value in prediction._asdict().items()}
        saver = tf.train.Saver(tf.model_variables())
        saver.restore(session, model.prefix)
        builder = tf.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session, [tf.saved_model.tag_constants.SERVING], saver=saver, clear_devices=True, strip_default_attrs=True,
            signature_def_map={'serving_default': tf.saved_model.predict_signature_def({'images': images}, results),
                               'image_bytes': tf.saved_model.predict_signature_def({'image_bytes': encoded}, results)})
        builder.save()


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """JPEGs or PNGs of one size, strings [N] -> uint8 [N,H,W,3], exactly as records and Pillow decode them.

    Running it fails on other formats, and, before decoding, on images of more than MAX_PIXELS.
    """
    return tf.map_fn(_decode_one, encoded, fn_output_signature=tf.TensorSpec([None, None, 3], tf.uint8))


def _decode_one(encoded: tf.Tensor) -> tf.Tensor:
    is_png = tf.equal(tf.strings.substr(encoded, 0, len(PNG_MAGIC)), PNG_MAGIC)
    is_jpeg = tf.equal(tf.strings.substr(encoded, 0, len(JPEG_MAGIC)), JPEG_MAGIC)
    with tf.control_dependencies([tf.debugging.Assert(is_png | is_jpeg, ['neither a JPEG nor a PNG'])]):
        size = tf.cond(is_png, lambda: _png_size(encoded), lambda: tf.image.extract_jpeg_shape(encoded)[:2])
    fits = tf.reduce_all(size > 0) & (tf.reduce_prod(tf.cast(size, tf.int64)) <= MAX_PIXELS)
    with tf.control_dependencies([tf.debugging.Assert(fits, [f'an image of more than {MAX_PIXELS} pixels:', size])]):
        return tf.io.decode_jpeg(encoded, channels=3, dct_method='INTEGER_ACCURATE')  # decodes PNGs as well


def _png_size(encoded: tf.Tensor) -> tf.Tensor:
    size = tf.io.decode_raw(tf.strings.substr(encoded, PNG_SIZE_AT, 8), tf.int32, little_endian=False)
    return tf.reshape(size, [2])


def describe(model: Trained) -> dict[str, Any]:
    """What labels.json tells a client: classes, colours, conventions, and where the model comes from."""
    dataset = model.run.dataset
    return {
        'dataset': dataset.name,
        'class_names': list(dataset.class_names),
        'palette': [list(colour) for colour in dataset.palette],
        'ignore_label': dataset.ignore_label,
        'inputs': {'serving_default': {'images': 'uint8 [N,H,W,3], RGB 0..255 as decoded, any size; no normalisation, '
                                                 'no resizing and no padding are needed'},
                   'image_bytes': {'image_bytes': 'string [N], JPEG or PNG, equal sizes in a batch; EXIF rotation is '
                                                  'ignored, alpha is dropped'}},
        'outputs': {'classes': 'int32 [N,H,W], index into class_names; the ignore label is never predicted',
                    'probabilities': 'float32 [N,H,W,C], of the classes'},
        'max_pixels': MAX_PIXELS,
        'checkpoint': {'path': model.prefix, 'sha256': restore.fingerprint(model.prefix), 'global_step': model.step},
        'recipe': recipes.to_dict(model.run.recipe),
    }


def parity(model: Trained, saved_model: Path) -> Iterator[Parity]:
    """Compares a SavedModel with `predict` on fixed images, through both signatures, float32."""
    batches = [np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8) for shape in _parity_shapes(model)]
    expected = _predict(model, batches)
    inputs: dict[str, Sequence[np.ndarray | list[bytes]]] = {
        'serving_default': batches, 'image_bytes': [_png_strings(batch) for batch in batches]}
    found = serve(saved_model, [(signature, one) for signature, each in inputs.items() for one in each])
    compared = [(signature, want) for signature in inputs for want in expected]
    for (signature, want), have in zip(compared, found, strict=True):
        yield Parity(signature, have['classes'].shape, int(np.sum(want['classes'] != have['classes'])),
                     float(np.max(np.abs(want['probabilities'] - have['probabilities']))))


def _parity_shapes(model: Trained) -> list[tuple[int, ...]]:
    evaluation = model.run.recipe.evaluation
    if not evaluation.official_compat or not evaluation.pad_to:
        return list(PARITY_SHAPES)
    height, width = evaluation.pad_to
    return [(count, min(rows, height), min(columns, width), 3) for count, rows, columns, _ in PARITY_SHAPES]


def _predict(model: Trained, batches: list[np.ndarray]) -> list[dict[str, np.ndarray]]:
    def read() -> Iterator[np.ndarray]:
        yield from batches

    def dataset() -> tf.data.Dataset:
        spec = tf.TensorSpec([None, None, None, 3], tf.uint8)
        return tf.data.Dataset.from_generator(read, output_signature=spec).map(
            lambda images: {'image': tf.cast(images, tf.float32)})

    with checkpointed.folder_for_events(None) as folder:
        return list(model.make_estimator(folder).predict(dataset, checkpoint_path=model.prefix,
                                                         yield_single_examples=False))


def serve(saved_model: Path, requests: Sequence[tuple[str, np.ndarray | list[bytes]]]) -> list[dict[str, np.ndarray]]:
    """The outputs of a SavedModel for each (signature, input)."""
    with tf.Graph().as_default(), tf.Session(config=session_config('float32')) as session:
        loaded = tf.saved_model.load(session, [tf.saved_model.tag_constants.SERVING], str(saved_model))
        return [_ask(session, loaded.signature_def[name], one) for name, one in requests]


def _ask(session: tf.Session, signature: Any, value: np.ndarray | list[bytes]) -> dict[str, np.ndarray]:
    # A SignatureDef, a type that tf has no public name for.
    (fed,) = signature.inputs.values()
    return session.run({name: info.name for name, info in signature.outputs.items()}, {fed.name: value})


def _png_strings(batch: np.ndarray) -> list[bytes]:
    encoded = []
    for pixels in batch:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, 'PNG')
        encoded.append(stream.getvalue())
    return encoded

