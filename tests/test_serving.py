"""A SavedModel, loaded by TensorFlow alone, predicts what inference.py writes (the issue's fourth condition)."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import export_model
import inference
from console.exits import guarded
from tests import models
from tests.paths import shared

SIZES = {'a': (65, 97), 'b': (70, 91), 'c': (48, 64), 'd': (48, 64), 'e': (33, 129)}  # height, width; c and d: a batch

# Knows nothing of this project: it runs elsewhere, and says so if it could import it.
CLIENT = """
import importlib.util, json, sys
import numpy as np
import tensorflow as tf
assert all(importlib.util.find_spec(name) is None for name in ('deeplab', 'pretrained', 'evaluate'))
folder, request, answer = sys.argv[1:]
signatures = tf.saved_model.load(folder).signatures
assert set(signatures) == {'serving_default', 'image_bytes'}, set(signatures)
results = {}
for name, paths in json.load(open(request)).items():
    data = [open(path, 'rb').read() for path in paths]
    pixels = [tf.io.decode_jpeg(one, channels=3, dct_method='INTEGER_ACCURATE') for one in data]
    by_pixels = signatures['serving_default'](images=tf.stack(pixels))
    by_bytes = signatures['image_bytes'](image_bytes=tf.constant(data))
    for key in ('classes', 'probabilities'):
        assert np.array_equal(by_pixels[key], by_bytes[key]), (name, key)
    classes, probabilities = by_pixels['classes'].numpy(), by_pixels['probabilities'].numpy()
    assert classes.dtype == np.int32 and probabilities.dtype == np.float32
    assert np.array_equal(probabilities.argmax(-1), classes)
    assert np.allclose(probabilities.sum(-1), 1, atol=1e-4)
    results[name] = classes
np.savez(answer, **results)
"""


def main(module, *arguments):
    """The exit status, as the command has it."""
    return guarded(lambda: module.main([str(argument) for argument in arguments]))


def served(saved_model, batches, folder):
    """{batch name: classes [N,H,W]} from a process that has TensorFlow only, started elsewhere."""
    (folder / 'client.py').write_text(CLIENT)
    (folder / 'request.json').write_text(json.dumps({name: list(map(str, paths)) for name, paths in batches.items()}))
    result = subprocess.run(
        [sys.executable, '-I', folder / 'client.py', saved_model, folder / 'request.json', folder / 'answer.npz'],
        cwd='/tmp', capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return dict(np.load(folder / 'answer.npz'))


def compare(model, batches, folder):
    """Exports, predicts, serves, and returns the largest number of classes seen in one prediction."""
    assert main(export_model, *model, '--export_dir', folder / 'exported') == 0
    (saved_model,) = (folder / 'exported').iterdir()
    paths = [path for batch in batches.values() for path in batch]
    assert main(inference, *model, '--input', *paths, '--output_dir', folder / 'out', '--format', 'ids') == 0
    found = served(saved_model, batches, folder)
    assert set(found) == set(batches) and batches
    for name, batch in batches.items():
        for path, classes in zip(batch, found[name], strict=True):
            np.testing.assert_array_equal(np.asarray(Image.open(folder / 'out' / f'{path.stem}_ids.png')), classes)
    return max(len(np.unique(classes)) for classes in found.values())


def test_a_process_without_this_project_predicts_the_same(tmp_path):
    model_dir = models.write_model_dir(models.tiny(), tmp_path / 'model')
    random = np.random.RandomState(0)
    paths = {}
    for name, (height, width) in SIZES.items():
        paths[name] = tmp_path / f'{name}.{"jpg" if name < "c" else "png"}'
        small = Image.fromarray(random.randint(0, 256, (6, 6, 3)).astype(np.uint8))
        small.resize((width, height), Image.Resampling.BICUBIC).save(paths[name])
    batches = {'a': [paths['a']], 'b': [paths['b']], 'both': [paths['c'], paths['d']], 'e': [paths['e']]}
    assert compare(['--model_dir', model_dir], batches, tmp_path) > 1


@pytest.mark.slow
def test_the_same_with_real_weights_and_photographs(tmp_path):
    weights = shared('weights', 'deeplabv3_mnv2_dm05_pascal_trainaug')
    photographs = sorted(shared('data', 'VOCdevkit', 'VOC2012', 'JPEGImages').glob('2011_*.jpg'))[:4]
    model = ['--recipe', 'deeplabv3_mnv2_dm05_voc224_os16', '--checkpoint', weights, '--train.deterministic', 'false']
    assert compare(model, {path.stem: [path] for path in photographs}, tmp_path) > 1
