"""Every recipe resolves; the zoo's have the options of the official flags and the figures of the catalog."""

import pytest

from datasets import row as rows
from deeplab.backbones import BACKBONES
from deeplab.nets import NETS
from deeplab.nets.parts.dense_prediction_cell import load_cell
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.run import resolve
from pretrained import catalog
from tests.deeplab import oracle

ROWS = recipes.table()
ENTRIES = catalog.load()
FIGURES = {figure.recipe: figure for entry in ENTRIES.values() for figure in entry.figures if figure.recipe}

# Images of the splits whose labels only the benchmarks have, so that dataset rows lack them.
KEPT_BACK = {('voc2012', 'test'): 1456, ('cityscapes', 'test'): 1525}

# Rows by the start of their name: the official configuration that they are.
OFFICIAL = {
    'deeplabv3_mnv2_dm05_voc': 'mnv2_dm05_os16_voc',
    'deeplabv3_mnv2_voc': 'mnv2_os16_voc',
    'deeplabv3plus_xception65_voc': 'xception_65_os16_c21',
    'deeplabv3_mnv2_cityscapes': 'mnv2_os16_cityscapes',
    'deeplabv3plus_mnv3_large_cityscapes': 'mnv3_large_cityscapes',
    'deeplabv3plus_mnv3_small_cityscapes': 'mnv3_small_cityscapes',
    'deeplabv3plus_xception65_cityscapes': 'xception_65_os16_c19',
    'deeplabv3plus_xception71_dpc_cityscapes': 'xception_71_dpc_os16_c19',
    'deeplabv3_edgetpu_cityscapes_os32': 'edgetpu_os32',
    'deeplabv3_edgetpu_cityscapes_os16': 'edgetpu_os16',
    'deeplabv3_edgetpu_slim_cityscapes_os32': 'edgetpu_slim_os32',
    'deeplabv3_edgetpu_slim_cityscapes_os16': 'edgetpu_slim_os16',
    'deeplabv3plus_mnv2_ade20k': 'mnv2_dec4_os16_ade20k',
    'deeplabv3plus_xception65_ade20k': 'xception_65_os16_c21',  # but for the number of classes
}


def zoo():
    """The rows of the zoo's files."""
    paths = sorted(recipes.RECIPES.glob('deeplab_zoo*.toml'))
    return [name for name, row in ROWS.items() if any(f'[rows.{name}]' in path.read_text() for path in paths)]


def rows_of(citation):
    return [name for name, row in ROWS.items() if row.citation.startswith(citation)]


def official_configuration(name):
    return OFFICIAL[max((start for start in OFFICIAL if name.startswith(start)), key=len)]


@pytest.mark.parametrize('name', ROWS)
def test_every_row_resolves(name):
    row = ROWS[name]
    run = resolve(row)
    assert run.net and run.backbone.name == row.model.backbone
    assert run.dataset == rows.load(row.data.dataset)


@pytest.mark.parametrize('name', [name for name, row in ROWS.items() if row.expected.num_images])
def test_rows_expect_the_images_that_their_split_has(name):
    data, expected = ROWS[name].data, ROWS[name].expected.num_images
    sizes = {split: entry.num_images for split, entry in rows.load(data.dataset).splits.items()}
    size = sizes.get(data.eval_split) or KEPT_BACK[data.dataset, data.eval_split]
    assert expected == (224 if 'voc224' in name else size)


@pytest.mark.parametrize('name', [name for name, row in ROWS.items() if row.expected.mean_iou is not None])
def test_a_figure_says_where_it_comes_from(name):
    """And one that was looked up isn't from memory, which sources say."""
    expected = ROWS[name].expected
    assert expected.source
    assert not (expected.verified and 'from memory' in expected.source)


def test_a_tolerance_says_where_it_comes_from():
    """Of the default, the schema says it."""
    default = Recipe().expected
    for name, row in ROWS.items():
        own = row.expected.tolerance != default.tolerance
        assert own == (row.expected.tolerance_source != default.tolerance_source), name
        assert row.expected.tolerance_source, name


def test_no_expected_figure_is_a_run_of_its_own():
    """A reference run is found in results/, and not typed into the row that it would then confirm."""
    assert not [name for name, row in ROWS.items() if 'results/' in row.expected.source]


def test_no_row_is_scored_on_what_it_was_trained_on():
    """Splits that join others hold them; lists of names alone don't tell, so VOC's and CamVid's trainval are known."""
    joined = {(dataset, name): set(split.parts) for dataset in rows.names()
              for name, split in rows.load(dataset).splits.items()}
    joined |= {(dataset, 'trainval'): {'train', 'val'} for dataset in ('voc2012', 'camvid')}
    assert any(joined.values())
    for name, row in ROWS.items():
        data = row.data
        held = joined.get((data.dataset, data.train_split), set()) | {data.train_split}
        assert data.eval_split not in held, name


@pytest.mark.parametrize('name', rows_of('dongzhuoyao/tensorpack'))
def test_rows_of_dongzhuoyao_stretch_and_centre_as_there(name):
    data = ROWS[name].data
    assert (data.min_scale, data.max_scale, data.scale_step) == (0.7, 1.5, 0.0)
    assert (data.max_aspect_change, data.pad_center) == (0.15, True)


@pytest.mark.parametrize('name', rows_of('Zhao et al., Pyramid Scene'))
def test_pspnet_turns_and_blurs_but_not_on_cityscapes(name):
    data = ROWS[name].data
    plain = data.dataset == 'cityscapes' or 'no_augmentation' in name
    assert (data.rotation, data.blur > 0) == ((0.0, False) if plain else (10.0, True))


def test_the_rows_of_the_tests_above_are_there():
    """So that no list of names above is empty."""
    assert len(rows_of('dongzhuoyao/tensorpack')) > 100 and len(rows_of('Zhao et al., Pyramid Scene')) > 15


def test_the_zoo_has_a_row_for_each_configuration():
    assert len(zoo()) > 20
    used = {start for start in OFFICIAL for name in zoo() if name.startswith(start)}
    assert used == set(OFFICIAL)


@pytest.mark.parametrize('name', zoo())
def test_options_are_those_of_the_official_flags(name):
    model = ROWS[name].model
    manifest = oracle.manifests()[official_configuration(name)]
    official = manifest['model_options']
    assert model.backbone == official['model_variant']
    assert model.output_stride == manifest['output_stride']
    assert model.net == ('deeplabv3plus' if official['decoder_output_stride'] else 'deeplabv3')

    options = oracle.with_defaults(NETS[model.net].build, model.options)
    names = oracle.HEAD_OPTIONS + (oracle.DECODER_OPTIONS if model.net == 'deeplabv3plus' else ())
    if official['decoder_output_is_logits']:  # whose filters are the classes
        names = [option for option in names if option != 'decoder_filters']
    assert {option: options[option] for option in names} == {option: official[option] for option in names}
    cell = options['dense_prediction_cell']
    assert (cell and load_cell(cell)) == official['dense_prediction_cell_config']
    assert cell or options['atrous_rates'] == (manifest['atrous_rates'] or [])

    backbone = oracle.with_defaults(BACKBONES[model.backbone].build, model.backbone_options)
    wanted = oracle.backbone_options(manifest)
    assert {option: backbone[option] for option in wanted} == wanted


@pytest.mark.parametrize('name', FIGURES)
def test_the_catalog_publishes_what_the_row_expects(name):
    assert FIGURES
    figure, row = FIGURES[name], ROWS[name]
    assert (row.expected.mean_iou, row.expected.pixel_accuracy) == (figure.mean_iou, figure.pixel_accuracy)
    assert (row.evaluation.output_stride or row.model.output_stride) == figure.output_stride
    assert (row.evaluation.scales, row.evaluation.flip) == (figure.scales, figure.flip)
    assert figure.on.endswith(f' {row.data.eval_split}')
    assert row.expected.verified


def test_every_published_segmentation_has_a_row():
    without = [name for name, entry in ENTRIES.items() if '8bit' not in name
               for figure in entry.figures if figure.mean_iou and figure.recipe not in ROWS]
    assert not without
    assert {name for name in zoo() if 'voc224' not in name} == set(FIGURES)


@pytest.mark.parametrize('name', [name for name, entry in ENTRIES.items() if entry.backbone])
def test_backbones_of_the_catalog_are_ours(name):
    entry = ENTRIES[name]
    backbone = BACKBONES[entry.backbone]
    assert entry.scope == backbone.scope
    assert set(entry.backbone_options) <= set(oracle.with_defaults(backbone.build, {}))
    for figure in entry.figures:
        if figure.recipe:
            model = ROWS[figure.recipe].model
            assert (model.backbone, model.backbone_options) == (entry.backbone, dict(entry.backbone_options))
