"""The best checkpoint, and what is remembered for early stopping."""

import json
from types import SimpleNamespace

import pytest

from deeplab import run
from deeplab.training import model_dir
from deeplab.training.model_dir import BestCheckpoint
from tests import models


def evaluated(best, tmp_path, step, score):
    """One evaluation's end."""
    for end in ('index', 'data-00000-of-00001'):
        (tmp_path / f'model.ckpt-{step}.{end}').write_text(str(step))
    return best.export(None, None, str(tmp_path / f'model.ckpt-{step}'),
                       {'mean_iou': score, 'pixel_accuracy': 0.5, 'global_step': step}, False)


def test_evaluations_since_the_best_are_counted_across_restarts(tmp_path):
    best = BestCheckpoint(tmp_path, {})
    assert best.evaluations_since == 0
    assert evaluated(best, tmp_path, 10, 0.5) and best.evaluations_since == 0
    assert evaluated(best, tmp_path, 20, 0.5) is None and best.evaluations_since == 1
    restarted = BestCheckpoint(tmp_path, {})
    assert restarted.evaluations_since == 1
    evaluated(restarted, tmp_path, 20, 0.4)  # a restart may evaluate a step again
    evaluated(restarted, tmp_path, 10, 0.5)
    assert restarted.evaluations_since == 1
    evaluated(restarted, tmp_path, 30, 0.4)
    assert [step for step in (0, 10, 20, 25, 30, 40) if restarted.knows(step)] == [10, 20, 30]
    assert restarted.evaluations_since == 2 and 'mean IoU 50.00 of step 10' in restarted.describe()
    assert evaluated(restarted, tmp_path, 40, 0.6) and restarted.evaluations_since == 0
    assert sorted(path.name for path in (tmp_path / 'best').glob('*ckpt*')) == [
        'model.ckpt-40.data-00000-of-00001', 'model.ckpt-40.index']


def test_a_record_of_an_earlier_version_is_read(tmp_path):
    (tmp_path / 'best').mkdir()
    (tmp_path / 'best' / 'best.json').write_text(json.dumps({'mean_iou': 0.7, 'global_step': 5}))
    best = BestCheckpoint(tmp_path, {})
    assert best.evaluations_since == 0
    evaluated(best, tmp_path, 10, 0.6)
    assert json.loads((tmp_path / 'best' / 'best.json').read_text()) == {
        'mean_iou': 0.7, 'global_step': 5, 'worse_steps': [10], 'measure': {}}


RECORDS = SimpleNamespace(num_examples=40, manifest={'list_sha256': 'aa'})


def measure(records=RECORDS, **changes):
    return model_dir.measure(run.resolve(models.tiny(**changes)), records)


@pytest.mark.parametrize(('changes', 'records', 'said'), [
    ({'name': 'other'}, RECORDS, 'recipe: custom -> other'),
    ({'data__train_split': 'val'}, RECORDS, 'train_split: train -> val'),
    ({'data__eval_split': 'train'}, RECORDS, 'split: val -> train'),
    ({'evaluation__flip': True}, RECORDS, 'protocol.flip: False -> True'),
    ({'evaluation__scales': (0.5, 1.0)}, RECORDS, 'protocol.scales: [1.0] -> [0.5, 1.0]'),
    ({}, SimpleNamespace(num_examples=40, manifest={'list_sha256': 'bb'}), 'list_sha256: aa -> bb'),
    ({}, SimpleNamespace(num_examples=39, manifest={'list_sha256': 'aa'}), 'num_images: 40 -> 39')])
def test_the_best_by_other_scores_is_kept_apart_and_another_looked_for(tmp_path, capsys, changes, records, said):
    evaluated(BestCheckpoint(tmp_path, measure()), tmp_path, 10, 0.9)
    evaluated(BestCheckpoint(tmp_path, measure()), tmp_path, 20, 0.8)
    assert 'looked for anew' not in capsys.readouterr().err
    best = BestCheckpoint(tmp_path, measure(records, **changes))
    told = capsys.readouterr().err
    assert f'compared with:\n  {said}\nThe best' in told and f'goes to {tmp_path}/best.until-step-0' in told
    assert best.evaluations_since == 0 and not best.knows(10)
    assert (tmp_path / 'best/model.ckpt-10.index').exists()  # until there is another
    assert evaluated(best, tmp_path, 30, 0.5)
    for folder, step, score in (('best.until-step-0', 10, 0.9), ('best', 30, 0.5)):
        assert (tmp_path / folder / f'model.ckpt-{step}.index').exists()
        found = json.loads((tmp_path / folder / 'best.json').read_text())
        assert (found['mean_iou'], found['global_step']) == (score, step)
    assert BestCheckpoint(tmp_path, measure(records, **changes)).knows(30)
    assert 'looked for anew' not in capsys.readouterr().err
    assert evaluated(BestCheckpoint(tmp_path, measure()), tmp_path, 40, 0.1)
    assert (tmp_path / 'best.until-step-0-2/model.ckpt-30.index').exists()


def test_what_decides_no_score_leaves_the_best(tmp_path):
    evaluated(BestCheckpoint(tmp_path, measure()), tmp_path, 10, 0.9)
    same = measure(train__max_steps=7, data__record_dir='elsewhere', evaluation__trimap=(3,), train__eval_images=0)
    assert BestCheckpoint(tmp_path, same).knows(10)
