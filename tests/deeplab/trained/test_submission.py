"""Submissions: names, raw ids and archives of each benchmark, and the command."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inference
from console.exits import guarded
from datasets import row as rows
from deeplab.summaries import palette_table
from deeplab.trained import submission
from tests import models

CASES = [  # benchmark, row, image, file in the archive, raw id of the last class, palette
    ('voc', 'voc2012', '2008_000006.jpg', 'results/VOC2012/Segmentation/comp6_test_cls/2008_000006.png', 20, True),
    ('cityscapes', 'cityscapes', 'berlin_000000_000019_leftImg8bit.png', 'berlin_000000_000019_labelIds.png', 33,
     False),
    ('ade20k', 'ade20k', 'ADE_test_00000001.jpg', 'ADE_test_00000001.png', 150, False),
    ('ade20k', 'ade20k_150', 'ADE_val_00000002.jpg', 'ADE_val_00000002.png', 150, False),
]


@pytest.mark.parametrize(('name', 'row', 'image', 'target', 'last', 'has_palette'), CASES)
def test_files_have_the_benchmark_s_names_and_ids(tmp_path, name, row, image, target, last, has_palette):
    dataset = rows.load(row)
    rules = submission.choose(name, dataset)
    path = submission.targets(rules, [Path('/images', image)], tmp_path)[Path('/images', image)]
    assert path.relative_to(tmp_path).as_posix() == target
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = np.array([[0, 1], [dataset.num_classes - 1, 2]], np.uint8)
    submission.picture(rules, ids, dataset, palette_table(dataset.palette)).save(path)
    with Image.open(path) as saved:
        assert saved.mode == ('P' if has_palette else 'L')
        assert np.asarray(saved).tolist() == [[dataset.raw_ids[0], dataset.raw_ids[1]], [last, dataset.raw_ids[2]]]
        if has_palette:
            assert tuple(saved.convert('RGB').getpixel((1, 0))) == dataset.palette[1]
    packed = submission.archive(rules, [path], tmp_path)
    if packed.suffix == '.tgz':
        with tarfile.open(packed) as opened:
            assert opened.getnames() == [target]
    else:
        with zipfile.ZipFile(packed) as opened:
            assert opened.namelist() == [target] and opened.testzip() is None


@pytest.mark.parametrize(('name', 'row', 'message'), [
    ('coco', 'voc2012', "'coco' is unknown; did you mean voc\\? choices: voc, cityscapes, ade20k"),
    ('voc', 'camvid', 'needs a model of voc2012; this one has the classes of camvid'),
    ('ade20k', 'cityscapes', 'needs a model of ade20k or ade20k_150')])
def test_other_benchmarks_and_classes_are_refused(name, row, message):
    with pytest.raises(ValueError, match=message):
        submission.choose(name, rows.load(row))


@pytest.mark.parametrize(('images', 'message'), [
    (['photo.jpg'], 'photo.jpg is no image of the benchmark: their names are like 2008_000006'),
    (['a/2008_000006.jpg', 'b/2008_000006.jpg'], 'two images would be the same file')])
def test_images_must_be_the_benchmark_s(tmp_path, images, message):
    with pytest.raises(ValueError, match=message):
        submission.targets(submission.RULES['voc'], [Path(path) for path in images], tmp_path)


def test_the_command_writes_and_packs_a_submission(tmp_path, capsys):
    recipe = models.tiny(data__dataset='voc2012')
    folder = models.write_model_dir(recipe, tmp_path / 'model')
    images = tmp_path / 'images'
    images.mkdir()
    for name, shape in (('2008_000006', (30, 40, 3)), ('2008_000008', (41, 25, 3))):
        Image.fromarray(np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)).save(images / f'{name}.png')
    command = ['--model_dir', str(folder), '--input', str(images), '--output_dir', str(tmp_path / 'out'),
               '--submission', 'voc']
    (images / '2008_000009.png').write_bytes(b'nothing')
    assert guarded(lambda: inference.main(command)) == 1
    assert not (tmp_path / 'out/voc.tgz').exists()
    (images / '2008_000009.png').unlink()
    assert guarded(lambda: inference.main(command)) == 2
    assert 'outputs exist already' in capsys.readouterr().err
    assert guarded(lambda: inference.main([*command, '--overwrite'])) == 0
    with tarfile.open(tmp_path / 'out/voc.tgz') as opened:
        sizes = {Path(name).stem: Image.open(opened.extractfile(name)).size for name in opened.getnames()}
    assert sizes == {'2008_000006': (40, 30), '2008_000008': (25, 41)}
