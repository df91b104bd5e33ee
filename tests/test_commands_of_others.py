"""The commands in the READMEs of other systems, as they are written there, on tiny real data."""

import importlib
import json
import os
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from datasets import convert
from datasets import row as rows
from deeplab import run
from deeplab.command import tonandr
from deeplab.compat import tf
from deeplab.recipes import recipe as recipes
from deeplab.training.estimators import model_variables
from tests import models
from tests.deeplab import fill
from tests.paths import SHARED, shared

READMES = SHARED / 'reference' / 'seed_readmes'
MAINS = ('train', 'evaluate', 'inference', 'semantic_segmentation')
# What xlmou/Semantic-Segmentation-TensorFlow calls a network -> net and backbone.
NETWORKS = {
    'FCN8': ('fcn8s', 'vgg_16'), 'U_Net': ('unet', 'none'), 'Seg_Net': ('segnet', 'none'),
    'Deeplab_v1': ('deeplabv1', 'vgg_16'), 'Deeplab_v2': ('deeplabv2', 'resnet_v2_101'),
    'Deeplab_v3': ('deeplabv3', 'resnet_v2_101'), 'PSPNet': ('pspnet', 'resnet_v2_101'),
    'GCN': ('gcn', 'resnet_v2_101'), 'ENet': ('enet', 'none'), 'ICNet': ('icnet', 'resnet_v2_50')}
# Beyond the commands, for the speed of the test alone: the same networks with few channels, two steps, one image.
TINY = ['--max_steps', '2', '--data.crop_size', '65,65', '--data.limit', '1', '--train.deterministic', 'false']
THIN_RESNET = ['--model.backbone_options.width_multiplier', '0.125']
THIN_VGG = ['--model.backbone_options.depth_multiplier', '0.05']
THIN_HEAD = ['--model.options.aspp_convs_filters', '8']
THIN = {
    'fcn8s': THIN_VGG, 'deeplabv1': THIN_VGG, 'deeplabv2': THIN_RESNET, 'deeplabv3': THIN_RESNET + THIN_HEAD,
    'deeplabv3plus': [*THIN_RESNET, *THIN_HEAD, '--model.options.decoder_filters', '8'],
    'pspnet': [*THIN_RESNET, '--model.options.filters', '8'], 'gcn': THIN_RESNET, 'enet': [],
    'icnet': [*THIN_RESNET, '--model.options.filters', '8'],
    'unet': ['--model.options.width', '4'], 'segnet': ['--model.options.depth_multiplier', '0.05']}


def commands(number):
    """[main, arguments...] of every training, evaluation and inference command in a README, in order."""
    path = READMES / f'{number:03}.md'
    text = path.read_text(encoding='utf8').replace('\\\n', ' ') if path.exists() else ''
    found = [shlex.split(line)[1:] for line in re.findall(r'python \w+\.py[^`\n]*', text)]
    return [[Path(main).stem, *arguments] for main, *arguments in found if Path(main).stem in MAINS]


XLMOU, RISHIZEK, TONANDR = (commands(number) for number in (1, 2, 4))
pytestmark = pytest.mark.skipif(not READMES.exists(), reason=f'{READMES} is not on this machine')


def test_the_readmes_have_the_commands_that_are_tested_here():
    assert [main for main, *_ in XLMOU] == ['train'] * 10
    assert [main for main, *_ in RISHIZEK] == ['train', 'train', 'evaluate', 'train', 'inference']
    assert [main for main, *_ in TONANDR] == ['semantic_segmentation'] * 2
    assert commands(0) == commands(3) == []


@pytest.fixture(scope='module')
def resource(tmp_path_factory):
    """VOCdevkit with real images: three to train on and two for evaluation, the smallest among the first."""
    voc = shared('data', 'VOCdevkit', 'VOC2012')
    folder = tmp_path_factory.mktemp('resource')
    made = folder / 'VOCdevkit' / 'VOC2012'
    lists = made / 'ImageSets' / 'Segmentation'
    lists.mkdir(parents=True)
    for name in ('JPEGImages', 'SegmentationClass'):
        (made / name).symlink_to(voc / name)
    for source, count, splits in (('train_aug', 3, ('train', 'train_aug')), ('val', 2, ('val',))):
        ids = (voc / 'ImageSets' / 'Segmentation' / f'{source}.txt').read_text().split()[:100]
        ids.sort(key=lambda name: os.path.getsize(voc / 'JPEGImages' / f'{name}.jpg'))
        for split in splits:
            (lists / f'{split}.txt').write_text('\n'.join(ids[:count]) + '\n')
    return folder


@pytest.fixture(scope='module')
def workspace(resource, tmp_path_factory):
    """A user's folder: records and pretrained weights where xlmou's commands look for them."""
    folder = tmp_path_factory.mktemp('workspace')
    convert.convert(rows.load('voc2012'), resource, folder / 'dataset' / 'tfrecord', ('train', 'train_aug', 'val'),
                    workers=1)
    for name, row in (('resnet_v2_101', 'deeplabv3_resnet101_voc_xlmou'), ('vgg_16', 'fcn8s_vgg16_voc_xlmou')):
        if row in recipes.table():
            write_weights(folder / 'pretrained' / f'{name}.ckpt', recipes.load(row))
    return folder


def write_weights(path, row):
    """What slim released for the row's backbone, in its names, as thin as the nets of this test."""
    path.parent.mkdir(exist_ok=True)
    made = run.resolve(recipes.override(row, thin(row.model.net)))
    shapes = {name: shape for name, shape in model_variables(made).items()
              if name.startswith(f'{made.backbone.scope}/')}
    assert len(shapes) > 20
    models.save({name: fill.value(name, shape, 'A') * 0.1 for name, shape in shapes.items()}, path)


def thin(net):
    return dict(zip((flag[2:] for flag in THIN[net][::2]), THIN[net][1::2], strict=True))


def run_main(main, *arguments):
    return importlib.import_module(main).main([str(argument) for argument in arguments])


def assert_trained(model_dir, net, backbone):
    """Two steps of the network that was asked for."""
    model = json.loads((model_dir / 'recipe.json').read_text())['model']
    assert (model['net'], model['backbone']) == (net, backbone)
    reader = tf.train.load_checkpoint(str(model_dir))
    assert reader.get_tensor('global_step') == 2


@pytest.mark.slow
@pytest.mark.parametrize('command', XLMOU, ids=lambda command: command[-1])
def test_xlmou_trains_the_network_that_it_names(command, workspace, monkeypatch, capsys):
    monkeypatch.chdir(workspace)
    main, *arguments = command
    net, backbone = NETWORKS[arguments[arguments.index('--segmentation-model') + 1]]
    assert run_main(main, *arguments, *TINY, '--batch_size', 2, *THIN[net]) == 0
    folder, = (path for path in (workspace / 'runs').iterdir() if path.name.startswith(f'{net}_'))
    assert_trained(folder, net, backbone)
    said = capsys.readouterr().err
    if '--restore-from' in arguments:
        assert arguments[arguments.index('--pretrained-model') + 1] == backbone
        assert re.search(rf'^{backbone} +[1-9]\d* +0 +0 ', said, re.MULTILINE), said  # restored, missing, other shape
    else:
        assert 'training starts from random weights' in said


def filled_in(command, **paths):
    return [str(paths.get(argument, argument)) for argument in command]


@pytest.mark.slow
@pytest.mark.parametrize('command', [c for c in RISHIZEK if c[0] == 'train' and '--help' not in c],
                         ids=lambda command: command[1])
def test_rishizek_trains_deeplabv3plus(command, workspace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = workspace / 'pretrained' / 'resnet_v2_101.ckpt'
    main, *arguments = filled_in(command, MODEL_DIR='a model', PRE_TRAINED_MODEL=weights)
    if '--pre_trained_model' not in arguments:  # its default is a path that its README fills, ours is fetched
        arguments += ['--pre_trained_model', weights]
    model_dir = tmp_path / arguments[arguments.index('--model_dir') + 1]
    data = ['--data_dir', workspace / 'dataset' / 'tfrecord']
    assert run_main(main, *arguments, *data, *TINY, *THIN['deeplabv3plus']) == 0
    assert_trained(model_dir, 'deeplabv3plus', 'resnet_v2_101')
    if '--weight_decay' in arguments:
        saved = recipes.read_json(model_dir / 'recipe.json')
        assert (saved.train.batch_size, saved.loss.weight_decay, saved.schedule.decay_steps) == (15, 2e-4, 30000)


@pytest.mark.slow
@pytest.mark.parametrize('command', [c for c in RISHIZEK if '--help' in c], ids=lambda command: command[0])
def test_rishizek_helps(command, capsys):
    main, *arguments = command
    with pytest.raises(SystemExit) as stopped:
        run_main(main, *arguments)
    assert stopped.value.code == 0 and '--model_dir' in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize('command', [c for c in RISHIZEK if c[0] == 'inference'], ids=lambda command: command[0])
def test_rishizek_predicts_the_images_of_a_list(command, resource, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    voc = resource / 'VOCdevkit' / 'VOC2012'
    names = [f'{name}.jpg' for name in (voc / 'ImageSets' / 'Segmentation' / 'val.txt').read_text().split()]
    (tmp_path / 'list.txt').write_text('\n'.join(names) + '\n')
    models.write_model_dir(recipes.override(recipes.load('deeplabv3plus_resnet101_voc_rishizek'),
                                            thin('deeplabv3plus') | {'train.deterministic': False}), tmp_path / 'model')
    main, *arguments = filled_in(command, DATA_DIR=voc / 'JPEGImages', INFER_DATA_LIST='list.txt', MODEL_DIR='model')
    assert run_main(main, *arguments) == 0
    for name in names:
        with Image.open(voc / 'JPEGImages' / name) as source, \
                Image.open(tmp_path / 'model' / 'predictions' / f'{name[:-4]}_ids.png') as predicted:
            assert predicted.size == source.size


@pytest.mark.slow
def test_tonandr_trains_and_evaluates_what_its_json_describes(resource, tmp_path, monkeypatch, capsys):
    text = (READMES / '004.md').read_text()
    conf = json.loads(re.search(r'```\s*(\{.*?\})\s*```', text, re.DOTALL)[1])
    folder = tmp_path / 'resource'
    folder.mkdir()
    (folder / 'VOCdevkit').symlink_to(resource / 'VOCdevkit')
    monkeypatch.chdir(tmp_path)
    (train, *more), (evaluate, *_) = TONANDR
    tiny = [*more, *TINY, '--batch_size', '2', '--model.backbone_options.depth_multiplier', '0.1']

    def write(**changes):
        (tmp_path / tonandr.README_NAME).write_text(json.dumps(conf | {'raw_data_path': str(folder)} | changes))

    write(mode='train')
    assert run_main(train, *tiny) == 0
    assert_trained(folder / 'model', 'deeplabv3', 'mobilenet_v2')
    saved = recipes.read_json(folder / 'model' / 'recipe.json')
    assert saved.model.options['dense_prediction_cell'] == conf['nn_arch']['encoder_middle_conf']
    write(mode='evaluate', model_loading=True)
    assert run_main(evaluate, *tiny) == 0
    assert list((folder / 'results').glob('*.png')) and list((folder / 'results').glob('*.json'))
    said = capsys.readouterr()
    assert re.search(r'model.ckpt-\d+, step \d+: voc2012 val, \d+ of 1449 images; OS \d+', said.out)
    assert 'mean IoU' in said.out
    # As training begins, as the evaluation does, and beside its score.
    assert said.err.count('of the 1449 images of voc2012 val are evaluated') == 3
