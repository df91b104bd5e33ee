import dataclasses

import pytest

from datasets import row as rows
from datasets.raw import layouts
from tests.datasets import drawn

VOC = rows.load('voc2012')
CAMVID = rows.load('camvid')


def camvid(root, listed, present):
    for name in present:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b'x')
    root.mkdir(exist_ok=True)
    (root / 'train.txt').write_bytes(listed)


@pytest.mark.parametrize('raw_dir', ['.', 'VOCdevkit', 'VOCdevkit/VOC2012'])
def test_voc_is_found_from_each_level(tmp_path, raw_dir):
    drawn.voc(tmp_path / 'VOCdevkit' / 'VOC2012', {'train': 2, 'val': 3})
    assert layouts.present_splits(VOC, tmp_path / raw_dir) == ('train', 'val')
    pairs, problems = layouts.find_pairs(VOC, tmp_path / raw_dir, 'val')
    assert [pair.id for pair in pairs] == ['val_0', 'val_1', 'val_2'] and problems == []
    assert pairs[0].image.samefile(tmp_path / 'VOCdevkit/VOC2012/JPEGImages/val_0.jpg')
    assert pairs[0].label.samefile(tmp_path / 'VOCdevkit/VOC2012/SegmentationClass/val_0.png')


def test_train_aug_takes_the_augmented_labels_where_there_are_any(tmp_path):
    drawn.voc(tmp_path, {'train_aug': 2})
    pairs, _ = layouts.find_pairs(VOC, tmp_path, 'train_aug')
    assert pairs[0].label.parent.name == 'SegmentationClass'
    (tmp_path / 'SegmentationClass').rename(tmp_path / 'SegmentationClassAug')
    pairs, problems = layouts.find_pairs(VOC, tmp_path, 'train_aug')
    assert pairs[0].label.parent.name == 'SegmentationClassAug' and problems == []


def test_a_list_with_windows_line_ends_and_blanks(tmp_path):
    names = ['train/a.png', 'trainannot/a.png', 'train/b.png', 'trainannot/b.png']
    listed = (b'\xef\xbb\xbf/SegNet/CamVid/train/a.png /SegNet/CamVid/trainannot/a.png\r\n\r\n   \r\n'
              b'train/b.png\ttrainannot/b.png \r\n')
    camvid(tmp_path / 'CamVid', listed, names)
    for raw_dir in (tmp_path, tmp_path / 'CamVid'):
        pairs, problems = layouts.find_pairs(CAMVID, raw_dir, 'train')
        assert problems == []
        assert [pair.id for pair in pairs] == ['train/a', 'train/b']
        assert [pair.label.relative_to(tmp_path / 'CamVid').as_posix() for pair in pairs] == names[1::2]


def test_names_with_spaces_and_accents(tmp_path):
    drawn.voc(tmp_path, {'train': 1})
    (tmp_path / 'JPEGImages/train_0.jpg').rename(tmp_path / 'JPEGImages/été à Paris.jpg')
    (tmp_path / 'SegmentationClass/train_0.png').rename(tmp_path / 'SegmentationClass/été à Paris.png')
    (tmp_path / 'ImageSets/Segmentation/train.txt').write_text('été à Paris\n', encoding='utf-8')
    pairs, problems = layouts.find_pairs(VOC, tmp_path, 'train')
    assert [pair.id for pair in pairs] == ['été à Paris'] and problems == []
    assert pairs[0].image.is_file() and pairs[0].label.is_file()


@pytest.mark.parametrize('line', [b'../../etc/passwd train/a.png', b'train/a.png /etc/passwd',
                                  b'train/../../x train/a.png', b'/SegNet/CamVid/../x.png train/a.png'])
def test_a_pair_list_cannot_leave_the_folder(tmp_path, line):
    camvid(tmp_path, line + b'\n', ['train/a.png'])
    pairs, problems = layouts.find_pairs(CAMVID, tmp_path, 'train')
    assert pairs == [] and len(problems) == 1
    assert 'leads out of' in problems[0].reason and problems[0].path.endswith('train.txt:1')


def test_an_id_list_cannot_leave_the_folder(tmp_path):
    drawn.voc(tmp_path, {'train': 1})
    (tmp_path / 'ImageSets/Segmentation/train.txt').write_text('../../../etc/passwd\n')
    _, problems = layouts.find_pairs(VOC, tmp_path, 'train')
    assert [problem.reason for problem in problems] == [f"'../../../etc/passwd' leads out of {tmp_path}"]


def test_all_problems_of_a_list_come_at_once(tmp_path):
    listed = b'train/a.png trainannot/a.png\ntrain/a.png trainannot/a.png\nlonely.png\ntrain/c.png annot/c.png\n'
    camvid(tmp_path, listed, [])
    pairs, problems = layouts.find_pairs(CAMVID, tmp_path, 'train')
    assert [str(problem).removeprefix(f'{tmp_path}/') for problem in problems] == [
        'train.txt:3: holds 1 paths, not an image and a label', "train.txt: lists 'train/a' more than once"]
    assert len(pairs) == 3


def test_what_is_not_there_is_named_with_what_is(tmp_path):
    drawn.voc(tmp_path, {'val': 1})
    with pytest.raises(ValueError, match=r"split of voc2012 = 'test' is unknown; choices: train, val, trainval"):
        layouts.find_pairs(VOC, tmp_path, 'test')
    with pytest.raises(ValueError, match=r'no list of voc2012 train: looked for .*train\.txt.*; splits .* there: val$'):
        layouts.find_pairs(VOC, tmp_path, 'train')
    with pytest.raises(ValueError, match='splits that are there: none'):
        layouts.find_pairs(VOC, tmp_path / 'nowhere', 'train')
    (tmp_path / 'ImageSets/Segmentation/val.txt').write_text('\n \n')
    with pytest.raises(ValueError, match='val.txt names no images'):
        layouts.find_pairs(VOC, tmp_path, 'val')
    (tmp_path / 'ImageSets/Segmentation/val.txt').write_bytes(b'\xff\xfe\n')
    with pytest.raises(ValueError, match='val.txt: not UTF-8'):
        layouts.find_pairs(VOC, tmp_path, 'val')


def test_an_unknown_layout_is_refused(tmp_path):
    row = dataclasses.replace(VOC, layout=dataclasses.replace(VOC.layout, kind='folders'))
    with pytest.raises(ValueError, match="layout.kind of voc2012 = 'folders' is unknown; choices: id_list, pair_list"):
        layouts.find_pairs(row, tmp_path, 'train')
