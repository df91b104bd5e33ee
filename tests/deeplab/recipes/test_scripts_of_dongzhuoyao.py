"""The rows of dongzhuoyao's against what their scripts say.

`scripts_of_dongzhuoyao.json` holds, for each row, the constants that stand in its script at the commit that `source`
names: of all versions of a script in the repository's history, the one that its figure is of, which is the last but
where a name or a parameter count tells otherwise. Numbers only; the learning rate changes after the given epochs.
"""

import json
from pathlib import Path

import pytest

from datasets import row as rows
from deeplab.recipes import recipe as recipes

SCRIPTS = json.loads(Path(__file__).with_name('scripts_of_dongzhuoyao.json').read_text(encoding='utf8'))
ROWS = recipes.table()
SPLITS = {'train': 'train', 'train_val': 'trainval', 'train_aug': 'train_aug'}  # by their lists' names


def steps_per_epoch(script):
    """Of ten or eight "epochs", each of several passes; a last, smaller batch is dropped."""
    return script['images'] // script['batch'] * script['passes_per_epoch']


def test_every_row_has_its_script():
    assert set(SCRIPTS) == {name for name, row in ROWS.items() if row.citation.startswith('dongzhuoyao/tensorpack')}


@pytest.mark.parametrize('name', SCRIPTS)
def test_source_names_the_script(name):
    assert ROWS[name].source.partition('; ')[0] == SCRIPTS[name]['source']


@pytest.mark.parametrize('name', SCRIPTS)
def test_schedule(name):
    script, row = SCRIPTS[name], ROWS[name]
    after, rates = zip(*script['rates_after_epochs'], strict=True)
    assert row.train.batch_size == script['batch']
    assert row.train.max_steps == script['epochs'] * steps_per_epoch(script)
    assert row.schedule.boundaries == tuple(steps_per_epoch(script) * epoch for epoch in after)
    assert row.schedule.values == (script['rate'], *rates)


@pytest.mark.parametrize('name', SCRIPTS)
def test_data(name):
    script, row = SCRIPTS[name], ROWS[name]
    assert row.data.crop_size == row.evaluation.tile_size == tuple(script['crop'])
    assert row.evaluation.scales == tuple(script['scales'])
    assert row.data.train_split == SPLITS[script['list']]
    if row.data.dataset != 'inria':  # of which it has patches and a split of its own
        assert rows.load(row.data.dataset).splits[row.data.train_split].num_images == script['images']


@pytest.mark.parametrize('name', SCRIPTS)
def test_loss_and_optimizer(name):
    script, row = SCRIPTS[name], ROWS[name]
    assert row.loss.weight_decay == script['weight_decay']
    assert row.loss.bootstrap_threshold == script['bootstrap_threshold']
    assert (row.optimizer.name, row.optimizer.epsilon) == ('adam', script['epsilon'])
    weights, biases = script['multipliers'] or (1, 1)
    assert row.optimizer.last_layer_multiplier == weights
    assert weights * row.optimizer.multipliers.get('^logits/.*biases$', 1) == biases


@pytest.mark.parametrize('name', [name for name, script in SCRIPTS.items() if script['growth']])
def test_densenet(name):
    """Named k36 or not: two scripts had another growth for a while, and their figures are of then."""
    script, options = SCRIPTS[name], ROWS[name].model.backbone_options
    assert options['growth'] == script['growth']
    assert options['blocks'] == script['blocks']
    assert options['dilations'] == script['dilations']
