"""`train.py --list` shows everything that a recipe can name, and what it is."""

import re

import pytest

import train
from console.exits import guarded
from datasets import row as rows
from deeplab import options
from deeplab.backbones import BACKBONES
from deeplab.compat import tf
from deeplab.nets import NETS
from deeplab.recipes import recipe
from deeplab.reports import listing

NAMES = {'nets': NETS, 'backbones': BACKBONES, 'datasets': rows.names(), 'recipes': recipe.table()}


def test_every_name_has_a_line():
    *parts, end = listing.show().split('\n\n')
    for part, (title, names) in zip(parts, NAMES.items(), strict=True):
        heading, _, *lines = part.splitlines()
        assert heading == f'{len(names)} {title}' and names
        assert [line.split()[0] for line in lines] == list(names)
        assert listing.show(title).split('\n\n')[0] == part
    assert '--list NAME' in end


def test_a_net_is_shown_with_its_paper_and_a_row_with_its_number():
    lines = {line.split()[0]: line for line in listing.show().splitlines() if line}
    assert 'DeepLabv3+ (Chen et al., 2018, arXiv:1802.02611)' in lines['deeplabv3plus']
    row = recipe.load('deeplabv3_mnv2_voc_os16')
    assert f'{row.expected.mean_iou:g}  ' in lines['deeplabv3_mnv2_voc_os16'] and row.title in lines[row.name]


@pytest.mark.parametrize(('kind', 'field', 'table'), [('net', 'model.options', NETS),
                                                      ('backbone', 'model.backbone_options', BACKBONES)])
def test_options_are_shown_with_default_and_meaning(kind, field, table):
    assert table
    at_once = listing.show(f'{kind}s')
    for name, part in table.items():
        shown = listing.show(name)
        assert shown.startswith(f'{kind} {name}: ')
        assert (f'--{field}.NAME VALUE' in shown) == bool(options.signature(part.build))
        for option, meaning in options.meanings(part.build).items():
            assert re.search(rf'^    {option} +\S', shown, re.MULTILINE) and meaning in ' '.join(shown.split())
            assert meaning in ' '.join(at_once.split())


def test_a_default_is_written_as_a_command_takes_it():
    shown = listing.show('deeplabv3plus')
    assert re.search(r'^    atrous_rates +\[6, 12, 18\]  ', shown, re.MULTILINE)
    assert re.search(r'^    aspp_with_batch_norm +true  ', shown, re.MULTILINE)
    assert max(map(len, shown.splitlines())) <= listing.WIDTH


def test_a_dataset_and_a_recipe_have_details_too():
    assert 'bicyclist' in listing.show('camvid') and 'splits' in listing.show('camvid')
    row = recipe.load('deeplabv3_mnv2_voc_os16')
    shown = listing.show(row.name)
    assert row.title in shown and re.search(rf'^  model.net +{row.model.net}$', shown, re.MULTILINE)


def test_the_command_takes_a_name_or_none_and_builds_no_graph(capsys):
    with tf.Graph().as_default() as graph:
        for words, heading in (([], f'{len(NETS)} nets'), (['enet'], 'net enet: '),
                               (['recipes'], f'{len(NAMES["recipes"])} recipes')):
            assert train.main(['--list', *words]) == 0
            assert capsys.readouterr().out.startswith(heading)
        assert not graph.get_operations()


def test_an_unknown_name_is_answered_with_near_ones(capsys):
    assert guarded(lambda: train.main(['--list', 'deeplabv4'])) == 2
    assert "--list = 'deeplabv4' is unknown; did you mean deeplabv" in capsys.readouterr().err


def test_a_row_is_found_by_the_name_that_it_had():
    now = 'deeplabv3plus_resnet101_voc_rishizek'
    assert listing.show(now.replace('rishizek', f'seed{2:03}')) == listing.show(now)
