"""Recipes train and score on splits that their datasets' rows have."""

from datasets import row as rows
from deeplab.recipes import recipe as recipes
from tests.contracts.test_recipes import KEPT_BACK

ROWS = recipes.table()


def wanted():
    """{(dataset, split): the recipe rows and keys that name it}."""
    found = {}
    for name, row in ROWS.items():
        for key, split in (('train_split', row.data.train_split), ('eval_split', row.data.eval_split)):
            found.setdefault((row.data.dataset, split), []).append(f'{name} data.{key}')
    return found


def present():
    return {(dataset, split) for dataset in rows.names() for split in rows.load(dataset).splits}


def test_every_split_of_a_recipe_is_in_its_datasets_row():
    assert len(ROWS) > 200 and len(wanted()) > 10
    missing = {where: found for where, found in wanted().items() if where not in present() and where not in KEPT_BACK}
    assert not missing


def test_splits_whose_labels_are_kept_back_are_scored_only():
    """They are named where a benchmark's server scores, and nobody else can."""
    assert KEPT_BACK
    for where in KEPT_BACK:
        assert where not in present()
        assert wanted()[where] and all(row.endswith(' data.eval_split') for row in wanted()[where])
