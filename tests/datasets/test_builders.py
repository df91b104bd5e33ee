"""The flags of other systems' dataset builders, in datasets.convert: what they are here, or what to do instead."""

import json

import pytest

from datasets import convert
from tests.paths import ROOT

OFFICIAL = json.loads((ROOT / 'tests' / 'deeplab' / 'command' / 'official_flags.json').read_text())
BUILDERS = {file: flags for file, flags in OFFICIAL.items() if file.startswith('datasets/')}
# xlmou's build_TFRecord.py, rishizek's create_pascal_tf_record.py and create_cityscapes_tf_record.py, irvingzhang0512's
# build_camvid_data.py; the rest of its builders are the official ones.
OTHERS = {'train-image-path', 'train-label-path', 'val-image-path', 'val-label-path', 'output-dir', 'data_dir',
          'output_path', 'train_data_list', 'valid_data_list', 'image_data_dir', 'label_data_dir', 'input_pattern',
          'annot_pattern', 'cityscapes_dir', 'split_type', 'test_image_folder', 'test_image_label_folder'}
TAKEN = {'cityscapes_root': 'raw_dir', 'cityscapes_dir': 'raw_dir', 'data_dir': 'raw_dir', 'output_dir': 'output_dir',
         'output-dir': 'output_dir', 'output_path': 'output_dir', 'split_type': 'splits'}
ALWAYS = ['--dataset', 'voc2012', '--raw_dir', 'raw', '--output_dir', 'out']


def test_there_are_builders():
    assert len(BUILDERS) == 5 and all(BUILDERS.values())


@pytest.mark.parametrize('flag', sorted({flag for flags in BUILDERS.values() for flag in flags} | OTHERS))
@pytest.mark.parametrize('equals', [True, False])
def test_a_flag_of_a_builder_is_taken_or_says_what_to_do(flag, equals, capsys):
    arguments = [*ALWAYS, *([f'--{flag}=there'] if equals else [f'--{flag}', 'there'])]
    if flag in TAKEN:
        assert getattr(convert._parser().parse_args(arguments), TAKEN[flag]) in ('there', ['there'])
        return
    with pytest.raises(SystemExit) as stopped:
        convert._parser().parse_args(arguments)
    name = f'--{flag.replace("-", "_")}'
    assert stopped.value.code == 2 and f'{name}: {convert.INSTEAD[name]}' in capsys.readouterr().err
