"""The flags of other systems and the official DeepLab: every row of the table means something, and means it exactly."""

import inspect
import re

import pytest

from deeplab.backbones import BACKBONES
from deeplab.command import aliases, flags
from deeplab.nets import NETS
from deeplab.recipes import recipe

TABLE = aliases.load()
OWN = {'model_dir', 'checkpoint', 'export_dir', 'output_dir', 'input'}


def parsed(argv, trained=False):
    """(what the main gets, the recipe) of a command of train.py, or of evaluate.py."""
    if trained:
        parser = flags.trained_parser('test', ('dataset', 'record_dir'))
    else:
        parser = flags.Parser('test')
        parser.add_argument('--recipe')
        parser.add_argument('--model_dir')
    own, overrides = parser.parse(argv.split())
    return own, flags.choose_recipe(own.recipe, own.model_dir, overrides)


def options_of(records):
    return {name for record in records.values() for name in inspect.signature(record.build).parameters}


@pytest.mark.parametrize('flag', TABLE.flags.values(), ids=TABLE.flags)
def test_a_flag_sets_what_exists_or_says_what_happens_instead(flag):
    known = recipe.fields()
    settings = [path for settings in flag.sets.values() for path in settings]
    for path in (*flag.field, *flag.set, *flag.unset, *settings):
        option = path.rpartition('.')[2]
        assert (path in known
                or path.startswith('model.options.') and option in options_of(NETS)
                or path.startswith('model.backbone_options.') and option in options_of(BACKBONES)), path
    assert {flag.own, flag.trained} <= {'', *OWN}
    assert set(flag.needs) <= set(known)
    assert flag.rule in {'', *aliases.RULES}
    assert flag.says or flag.field or flag.set or flag.own or flag.recipe or flag.rule or flag.refused
    assert not (flag.switch and flag.field)


def test_a_flag_of_ours_is_not_renamed():
    """A foreign name that a main has itself never reaches the table there, so it must mean the same.

    --crop_size is of the official export_model.py, and here of train.py, whose official one hasn't got it.
    """
    assert set(flags.SHORT) & set(TABLE.flags) == {'crop_size'}


def test_the_table_is_of_every_dialect():
    known = {dialect for flag in TABLE.flags.values() for dialect in flag.of}
    assert known | {'tonandr'} == set(TABLE.dialects) and len(TABLE.flags) > 100


# Options of the official flags: who takes them here is who takes them there.
TAKERS = {('model.net', 'model.options.'): NETS, ('model.backbone', 'model.backbone_options.'): BACKBONES}


@pytest.mark.parametrize('flag', [flag for flag in TABLE.flags.values() if flag.needs], ids=lambda flag: flag.name)
def test_what_a_flag_needs_is_what_takes_its_option(flag):
    for path in (*flag.field, *flag.set):
        for (chosen, options), records in TAKERS.items():
            if not path.startswith(options):
                continue
            takes = {name for name, record in records.items()
                     if path.removeprefix(options) in inspect.signature(record.build).parameters}
            official = {name for name in takes if re.search(flag.needs[chosen], name)}
            assert official and official == {name for name in records if re.search(flag.needs[chosen], name)}


@pytest.mark.parametrize(('argv', 'wanted'), [
    ('--dataset pascal_voc2012 --train-split train', {'data.dataset': 'voc2012', 'data.train_split': 'train'}),
    ('--recipe demo --input-size 321,320 --random-seed 7', {'data.crop_size': (321, 320), 'train.seed': 7}),
    ('--recipe demo --restore-from None', {'init.checkpoint': ''}),
    ('--recipe demo --not-restore-last --num-steps 9', {'init.head': False, 'train.max_steps': 9}),
    ('--recipe demo --crop_width 480', {'data.crop_size': (129, 480)}),
    ('--recipe demo --crop_width 480 --crop_height 360', {'data.crop_size': (360, 480)}),
    ('--recipe demo --fine_tune_batch_norm', {'batch_norm.mode': 'train'}),
    ('--recipe demo --nofine_tune_batch_norm', {'batch_norm.mode': 'freeze_statistics'}),
    ('--recipe demo --fine_tune_batch_norm=false', {'batch_norm.mode': 'freeze_statistics'}),
    ('--recipe demo --fine_tune_batch_norm False --log_steps 3', {'batch_norm.mode': 'freeze_statistics',
                                                                  'train.log_steps': 3}),
    ('--recipe demo --freeze_batch_norm', {'batch_norm.mode': 'freeze'}),
    ('--recipe demo --train_crop_size=513 --train_crop_size=321', {'data.crop_size': (513, 321)}),
    ('--recipe demo --train_crop_size=513,321', {'data.crop_size': (513, 321)}),
    ('--recipe demo --decoder_output_stride=8,4', {'model.net': 'deeplabv3plus',
                                                   'model.options.decoder_output_stride': [8, 4]}),
    # Official rates belong to the output stride of their command.
    ('--recipe demo --output_stride 8 --atrous_rates=12 --atrous_rates=24 --atrous_rates=36',
     {'model.options.atrous_rates': [12, 24, 36], 'model.options.atrous_rates_stride': 8, 'model.output_stride': 8}),
    ('--recipe demo --max_iter 30000 --max_steps 2', {'schedule.decay_steps': 30000, 'train.max_steps': 2}),
])
def test_a_foreign_command_is_this_recipe(argv, wanted):
    _, chosen = parsed(argv)
    for path, value in wanted.items():
        got = chosen.model.options[path.rpartition('.')[2]] if '.options.' in path else recipe.get(chosen, path)
        assert got == value, path


def test_rates_of_an_evaluation_belong_to_the_stride_that_it_predicts_with():
    _, chosen = parsed('--recipe demo --output_stride=8 --atrous_rates=12', trained=True)
    assert chosen.model.options['atrous_rates_stride'] == chosen.evaluation.output_stride == 8
    assert chosen.model.output_stride == 16
    _, chosen = parsed('--recipe demo --atrous_rates=6', trained=True)
    assert chosen.model.options['atrous_rates_stride'] == 16


def test_flags_without_a_meaning_say_what_happens_instead(capsys):
    own, chosen = parsed('--recipe demo --num-train-samples 1464 --gpu_devices 3 --debug --snapshot-dir ./logs')
    said = capsys.readouterr().err
    assert chosen == recipe.load('demo') and own.model_dir == './logs'
    for name in ('num_train_samples', 'gpu_devices', 'debug'):
        assert f'note: --{name}: {TABLE.flags[name].says}\n' in said


@pytest.mark.parametrize(('argv', 'message'), [
    ('--segmentation-model Deeplab_v4', 'did you mean'),
    ('--fine_tune_batch_norm=maybe', 'choices: true, yes, 1, false, no, 0'),
    ('--restore-from', '--restore_from needs a value'),
    ('--tf_inital_checkpoint x', 'did you mean --tf_initial_checkpoint'),
    ('--export_path x', '--export_path is --export_dir here, which this command does not have'),
])
def test_what_cannot_be_understood_is_an_error(argv, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        parsed(argv)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_model_dir_knows_its_recipe_better_than_a_dialect(tmp_path, capsys):
    recipe.write_json(recipe.load('demo'), tmp_path / 'recipe.json')
    own, chosen = parsed(f'--train_logdir {tmp_path} --base_learning_rate 0.5')
    assert own.recipe is None
    assert chosen == recipe.override(recipe.load('demo'), {'schedule.learning_rate': 0.5})
