import numpy as np
import pytest
from PIL import Image

from console.exits import guarded
from datasets import inspect
from datasets import row as rows
from datasets.convert import convert
from datasets.look import sheets, sources
from datasets.look import tally as tallies
from datasets.look.tally import Tally
from tests.datasets import drawn

VOC = rows.load('voc2012')


@pytest.fixture
def raw(tmp_path):
    drawn.voc(tmp_path / 'raw', {'train': 5, 'val': 3})
    return tmp_path / 'raw'


def pixels(**counts):
    found = np.zeros(256, np.int64)
    for label, count in counts.items():
        found[int(label[1:])] = count
    return found


def test_a_tally_counts_what_the_papers_divide_by():
    tally = Tally(3, 255)
    tally.add(0, (10, 10), pixels(_0=60, _1=30, _255=10))
    tally.add(1, (10, 20), pixels(_0=200))
    tally.add(2, (5, 4), pixels(_255=20))
    tally.add(3, (5, 4), pixels(_1=15, _255=5))
    assert tally.class_pixels.tolist() == [260, 45, 0] and tally.class_images.tolist() == [2, 2, 0]
    assert tally.class_image_pixels.tolist() == [300, 120, 0] and tally.ignored_pixels == 35
    assert (tally.empty, tally.single) == ([2], [1, 3])
    assert tally.worst(2) == [(2, 'all void'), (1, 'single class')]
    assert tally.worst(9) == [(2, 'all void'), (1, 'single class'), (3, 'single class'), (0, '10 % void')]
    text = tallies.table(tally, ('a', 'b', 'c'))
    assert '| 0 | a | 260 | 85.246 % | 2 | 86.67 % |' in text and '| 2 | c | 0 | 0.000 % | 0 | - |' in text
    assert '4 images, 3 sizes: 4x5 (2), 10x10 (1), 20x10 (1)' in tallies.summary(tally)
    assert '10.29 % of all pixels are void (id 255)\n1 all void, 2 of a single class' in tallies.summary(tally)


def test_an_ignored_class_is_void():
    tally = Tally(3, 0)
    tally.add(0, (1, 10), pixels(_0=4, _2=6))
    assert tally.class_pixels.tolist() == [0, 0, 6] and tally.ignored_pixels == 4 and tally.single == [0]


def test_nothing_labelled_at_all():
    tally = Tally(2, 255)
    tally.add(0, (1, 10), pixels(_255=10))
    assert '| 0 | a | 0 | 0.000 % | 0 | - | 0.0000 | 0.0000 |' in tallies.table(tally, ('a', 'b'))


def test_void_is_striped_and_classes_have_their_colours():
    key = sheets.Key(VOC.class_names, VOC.palette, 255)
    ids = np.zeros((40, 60), np.uint8)
    ids[:, 20:40], ids[:, 40:] = 15, 255
    found = sheets.colored(ids, key)
    assert (found[:, :20] == VOC.palette[0]).all() and (found[:, 20:40] == VOC.palette[15]).all()
    assert {tuple(color) for color in found[:, 40:].reshape(-1, 3).tolist()} == set(sheets.VOID_STRIPES)
    image = np.full((40, 60, 3), 200, np.uint8)
    page = np.asarray(sheets.sheet([sheets.Picture('é' * 99, image, ids)] * 4, key))
    top, left = sheets.MARGIN, sheets.MARGIN
    assert (page[top:top + 40, left:left + 60] == 200).all()
    # All but the numbers of the two classes, which lie in their middles.
    drawn_over = (page[top:top + 40, left + 60:left + 120] != found).any(axis=-1)
    assert drawn_over[14:26, 2:18].any() and drawn_over[14:26, 22:38].any()
    drawn_over[14:26, 2:18] = drawn_over[14:26, 22:38] = False
    assert not drawn_over.any()
    # The pair has an outline, for classes as white as the page.
    assert (page[top - 1, left - 1:left + 121] == (128, 128, 128)).all()


def test_a_class_too_small_for_its_number_has_none():
    key = sheets.Key(VOC.class_names, VOC.palette, 255)
    ids = np.arange(64 * 64).reshape(64, 64) // 4 % 21
    page = np.asarray(sheets.sheet([sheets.Picture('', np.zeros((64, 64, 3), np.uint8), ids.astype(np.uint8))], key))
    top, left = sheets.MARGIN, sheets.MARGIN + 64
    np.testing.assert_array_equal(page[top:top + 64, left:left + 64], sheets.colored(ids, key))


def test_the_legend_of_many_classes_is_whole():
    """Every swatch is there, and no name is cut, however few the pictures."""
    names = tuple(f'a rather long name of class {label}' for label in range(250))
    colors = tuple((label, 7, 11) for label in range(250))
    ids = np.arange(250, dtype=np.uint8).reshape(10, 25)
    page = np.asarray(sheets.sheet([sheets.Picture('', np.full((10, 25, 3), 255, np.uint8), ids)],
                                   sheets.Key(names, colors, 255)))
    legend = page[:, sheets.MARGIN + 50 + sheets.MARGIN:]
    found = {red for red, green, blue in np.unique(legend.reshape(-1, 3), axis=0).tolist() if (green, blue) == (7, 11)}
    assert found == set(range(250))
    assert (legend[:, -sheets.MARGIN:] == 255).all()


def test_made_up_colours_are_pascals():
    assert sources.made_up_colors(21) == VOC.palette
    assert len(set(sources.made_up_colors(256))) == 256


def test_raw_data_and_records_tell_the_same(raw, tmp_path, capsys):
    convert(VOC, raw, tmp_path / 'records', workers=1)
    options = ['--num_images', '4', '--workers', '1', '--output_dir']
    assert inspect.main(['--dataset', 'voc2012', '--raw_dir', str(raw), *options, str(tmp_path / 'a')]) == 0
    told = capsys.readouterr().out
    assert inspect.main(['--record_dir', str(tmp_path / 'records'), *options, str(tmp_path / 'b')]) == 0
    assert capsys.readouterr().out == told.replace(str(tmp_path / 'a'), str(tmp_path / 'b'))
    names = sorted(path.name for path in (tmp_path / 'a').iterdir())
    assert names == sorted(f'{split}_{kind}.png' for split in ('train', 'val')
                           for kind in ('sheet', 'worst', 'classes', 'sizes'))
    for name in names:
        one, other = (np.asarray(Image.open(tmp_path / folder / name).convert('RGB')) for folder in 'ab')
        np.testing.assert_array_equal(one, other)
        assert one.min() < one.max()


def test_problems_are_told_and_the_rest_is_shown(raw, tmp_path, capsys):
    (raw / 'SegmentationClass/train_1.png').write_bytes(b'')
    arguments = ['--dataset', 'voc2012', '--raw_dir', str(raw), '--output_dir', str(tmp_path / 'a'), '--splits',
                 'train', '--workers', '1']
    assert inspect.main(arguments) == 0
    told = capsys.readouterr().out
    assert '4 images' in told
    problem = f'{raw}/SegmentationClass/train_1.png: the file is empty'
    assert f'1 problem(s), whose examples are not counted:\n  {problem}\n' in told


def test_records_without_a_manifest_need_a_dataset(tmp_path, capsys):
    drawn.write_split(tmp_path, 'val', 2)
    arguments = ['--record_dir', str(tmp_path), '--output_dir', str(tmp_path / 'a')]
    assert guarded(lambda: inspect.main(arguments)) == 2
    assert 'has no manifest of val: give --dataset' in capsys.readouterr().err
    assert inspect.main([*arguments, '--dataset', 'voc2012']) == 0
    assert guarded(lambda: inspect.main(['--output_dir', str(tmp_path / 'a')])) == 2
    assert 'give --record_dir, or --raw_dir and --dataset' in capsys.readouterr().err
