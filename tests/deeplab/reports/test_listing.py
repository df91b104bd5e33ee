"""`train.py --list` shows everything that a recipe can name."""

from datasets import row as rows
from deeplab.backbones import BACKBONES
from deeplab.nets import NETS
from deeplab.recipes import recipe
from deeplab.reports import listing


def test_every_name_has_a_line():
    parts = listing.tables().split('\n\n')
    for part, title, names in zip(parts, ('nets', 'backbones', 'datasets', 'recipes'),
                                  (NETS, BACKBONES, rows.names(), recipe.table()), strict=True):
        heading, _, *lines = part.splitlines()
        assert heading == f'{len(names)} {title}' and names
        assert [line.split()[0] for line in lines] == list(names)


def test_a_net_is_shown_with_its_paper_and_a_row_with_its_number():
    lines = {line.split()[0]: line for line in listing.tables().splitlines() if line}
    assert 'DeepLabv3+ (Chen et al., 2018, arXiv:1802.02611)' in lines['deeplabv3plus']
    row = recipe.load('deeplabv3_mnv2_voc_os16')
    assert f'{row.expected.mean_iou:g}  ' in lines['deeplabv3_mnv2_voc_os16'] and row.title in lines[row.name]
