"""What the mains make of their own flags."""

import json
from pathlib import Path

import pytest

import evaluate
import export_model
import inference
from deeplab.command import flags
from deeplab.recipes import recipe
from tests.deeplab.command import parsed

TRAINED = ['--recipe', 'demo', '--checkpoint', 'runs/demo/model.ckpt-7']


def test_overfitting_trains_and_evaluates_on_the_first_images_as_they_are():
    chosen = flags.choose_recipe('deeplabv3plus_resnet101_voc_rishizek', None, flags.overfitting(3))
    data = chosen.data
    assert (data.limit, data.min_scale, data.max_scale, data.flip) == (3, 1.0, 1.0, False)
    assert data.eval_split == data.train_split == 'train_aug'


def test_a_field_of_the_command_line_wins_over_overfitting():
    chosen = flags.choose_recipe('demo', None, flags.overfitting(3) | {'data.flip': 'true', 'data.eval_split': 'val'})
    assert chosen.data.flip and chosen.data.eval_split == 'val' and chosen.data.limit == 3


def test_overfitting_needs_an_image():
    with pytest.raises(ValueError, match='at least 1'):
        flags.overfitting(0)


@pytest.mark.parametrize('argument', ['--record_dir', '--record-dir', '--data_dir', '--data.record_dir',
                                      '--data.data_dir'])
@pytest.mark.parametrize('equals', [True, False])
def test_records_are_named_by_the_flag_of_today_and_by_that_of_before(capsys, argument, equals):
    given = [f'{argument}=records'] if equals else [argument, 'records']
    for parser in (flags.Parser('train'), flags.trained_parser('evaluate', ('dataset', 'record_dir'))):
        _, overrides = parser.parse(given)
        assert overrides == {'data.record_dir': 'records'} and not capsys.readouterr().err
        assert 'data_dir' not in parser.format_help()


def test_a_main_has_a_former_flag_only_for_one_of_its_own(capsys):
    own, _ = _inference_parser().parse(['--data-dir', 'photos'])
    assert own.list_dir == 'photos'
    with pytest.raises(SystemExit):
        flags.trained_parser('export', ('dataset',)).parse(['--data_dir', 'records'])
    assert 'unknown argument --data_dir' in capsys.readouterr().err


def _inference_parser():
    parser = flags.trained_parser('inference', ('dataset',), formerly={'--data_dir': '--list_dir'})
    parser.add_argument('--list_dir')
    return parser


def test_a_recipe_has_a_folder_of_its_own_unless_one_is_given():
    demo = recipe.load('demo')
    assert flags.choose_model_dir(None, 'demo', demo) == Path('runs/demo')
    assert flags.choose_model_dir('there', 'demo', demo) == Path('there')
    with pytest.raises(ValueError, match='give --model_dir'):
        flags.choose_model_dir(None, None, demo)


def test_a_run_that_was_recorded_before_there_was_an_order_goes_on_in_its_own(tmp_path, capsys):
    demo = recipe.load('demo')
    assert demo.data.order == 'hashed' and flags.continued(demo, tmp_path, {}) is demo
    values = recipe.to_dict(demo)
    del values['data']['order']
    for _ in range(2):  # the second start finds it recorded
        (tmp_path / 'recipe.json').write_text(json.dumps(values))
        resumed = flags.continued(demo, tmp_path, {})
        assert resumed.data.order == 'index_shuffle'
        assert capsys.readouterr().err == "going on as the run began: data.order = 'index_shuffle'\n"
        assert not recipe.difference(recipe.read_json(tmp_path / 'recipe.json'), resumed)
        values = recipe.to_dict(resumed)
    given = {'data.order': 'hashed'}
    asked = flags.continued(recipe.override(demo, given), tmp_path, given)
    assert recipe.difference(recipe.read_json(tmp_path / 'recipe.json'), asked)  # which keep_recipe refuses
    recipe.write_json(demo, tmp_path / 'recipe.json')
    assert flags.continued(demo, tmp_path, {}) == demo and not capsys.readouterr().err


@pytest.mark.parametrize('recorded', [None, 'tensorflow'])
def test_a_run_by_other_kernels_goes_on_with_them(tmp_path, capsys, recorded):
    """TensorFlow's, before there were others; what it says at every start tells whose they are."""
    demo = recipe.load('demo')
    values = recipe.to_dict(demo)
    del values['train']['kernels']
    if recorded:
        values['train']['kernels'] = recorded
    (tmp_path / 'recipe.json').write_text(json.dumps(values))
    assert demo.train.kernels == 'auto'
    assert flags.continued(demo, tmp_path, {}).train.kernels == 'tensorflow' and not capsys.readouterr().err
    given = {'train.kernels': 'own'}
    asked = flags.continued(recipe.override(demo, given), tmp_path, given)
    assert recipe.difference(recipe.read_json(tmp_path / 'recipe.json'), asked) == [
        "train.kernels: 'tensorflow' -> 'own'"]


def test_the_help_says_how_options_of_nets_are_given_and_seen():
    said = ' '.join(flags.Parser('').format_help().split())
    assert '--model.options.NAME VALUE options of the net: `train.py --list NET` shows them' in said
    assert '--model.backbone_options.NAME VALUE options of the backbone: `train.py --list BACKBONE` shows them' in said


def recorded(folder, **changes):
    """The folder of a run of the recipe demo with `changes`, and the path of a checkpoint in it."""
    folder.mkdir()
    chosen = recipe.override(recipe.load('demo'), {path.replace('__', '.'): value for path, value in changes.items()})
    recipe.write_json(chosen, folder / 'recipe.json')
    return chosen, str(folder / 'model.ckpt-7')


def test_a_checkpoint_given_by_its_path_brings_the_recipe_of_its_run(tmp_path, capsys):
    own, path = recorded(tmp_path / 'own', evaluation__flip=True)
    other, _ = recorded(tmp_path / 'other', evaluation__flip=False)
    assert flags.choose_trained_recipe(None, None, {}, path) == own
    assert flags.choose_trained_recipe(None, str(tmp_path / 'own'), {}, path) == own and not capsys.readouterr().err
    assert flags.choose_trained_recipe(None, str(tmp_path / 'own'), {}, 'latest') == own
    assert flags.choose_trained_recipe(None, str(tmp_path / 'nothing'), {}, path) == own
    assert flags.choose_trained_recipe(None, str(tmp_path / 'other'), {}, path) == own != other
    assert f"the recipe is that of its own run, {tmp_path / 'own/recipe.json'}" in capsys.readouterr().err
    assert flags.choose_trained_recipe(None, None, {'evaluation.flip': 'false'}, path) == other


def test_a_recipe_that_is_named_wins_over_the_one_beside_the_checkpoint(tmp_path):
    _, path = recorded(tmp_path / 'own', evaluation__flip=True)
    assert flags.choose_trained_recipe('demo', None, {}, path) == recipe.load('demo')


def test_a_checkpoint_without_a_recipe_leaves_the_choice_to_the_model_dir(tmp_path):
    own, _ = recorded(tmp_path / 'own', evaluation__flip=True)
    (tmp_path / 'released').mkdir()
    path = str(tmp_path / 'released/model.ckpt')
    assert flags.choose_trained_recipe(None, str(tmp_path / 'own'), {}, path) == own
    with pytest.raises(ValueError, match='the path of a run as --checkpoint'):
        flags.choose_trained_recipe(None, None, {}, path)


def test_the_recipe_beside_a_checkpoint_wins_over_the_default_of_a_dialect(tmp_path):
    _, path = recorded(tmp_path / 'own')
    parser = flags.trained_parser('evaluate', ('dataset', 'record_dir'))
    assert parser.parse(['--checkpoint', path, '--eval_crop_size=513,513'])[0].recipe is None


@pytest.mark.parametrize(('main', 'needed'), [
    (evaluate, []), (inference, ['--input', 'photos']), (export_model, ['--export_dir', 'exported'])])
def test_every_main_that_takes_a_checkpoint_reads_the_recipe_beside_it(main, needed, monkeypatch):
    def choose(*given):
        raise ValueError(given[3])

    monkeypatch.setattr(flags, 'choose_trained_recipe', choose)
    with pytest.raises(ValueError, match='runs/camvid/model.ckpt-7'):
        main.main(['--checkpoint', 'runs/camvid/model.ckpt-7', *needed])


def test_a_figure_is_that_of_the_row_as_it_stands_in_its_table(tmp_path):
    """Whatever flags changed, those of train.py that model_dir has recorded and those of evaluate.py."""
    row = recipe.load('deeplabv3plus_mnv2_camvid')
    trained = recipe.override(row, {'evaluation.limit': 20})
    recipe.write_json(trained, tmp_path / 'recipe.json')
    chosen = flags.choose_trained_recipe(None, str(tmp_path), {'evaluation.flip': 'true'})
    assert chosen.evaluation.flip and chosen.evaluation.limit == 20
    assert flags.promised(chosen, None, str(tmp_path), 'latest') == row
    named = recipe.override(trained, {'name': 'mine'})
    recipe.write_json(named, tmp_path / 'recipe.json')
    chosen = flags.choose_trained_recipe(None, str(tmp_path), {'evaluation.flip': 'true'})
    assert flags.promised(chosen, None, str(tmp_path), 'latest') == named


@pytest.mark.parametrize(('main', 'needed', 'field'), [
    ('train', ['--recipe', 'demo'], 'data.crop_size'), ('evaluate', TRAINED, 'evaluation.pad_to'),
    ('inference', [*TRAINED, '--input', 'photos'], 'evaluation.pad_to'),
    ('export_model', [*TRAINED, '--export_dir', 'exported'], 'evaluation.pad_to')])
@pytest.mark.parametrize('given', [['--crop_size', '257,129'], ['--crop-size=257,129']])
def test_a_crop_is_that_of_training_and_what_evaluation_pads_to(main, needed, field, given):
    """The official export_model.py has the second, the official train.py calls the first --train_crop_size."""
    demo, (_, found) = recipe.load('demo'), parsed.command(main, [*needed, *given])
    assert {path: recipe.get(found, path) for path in recipe.fields()
            if recipe.get(found, path) != recipe.get(demo, path)} == {field: (257, 129)}
