"""The best checkpoint, and what is remembered for early stopping."""

import json

from deeplab.training.model_dir import BestCheckpoint


def evaluated(best, tmp_path, step, score):
    """One evaluation's end."""
    for end in ('index', 'data-00000-of-00001'):
        (tmp_path / f'model.ckpt-{step}.{end}').write_text(str(step))
    return best.export(None, None, str(tmp_path / f'model.ckpt-{step}'),
                       {'mean_iou': score, 'pixel_accuracy': 0.5, 'global_step': step}, False)


def test_evaluations_since_the_best_are_counted_across_restarts(tmp_path):
    best = BestCheckpoint(tmp_path)
    assert best.evaluations_since == 0
    assert evaluated(best, tmp_path, 10, 0.5) and best.evaluations_since == 0
    assert evaluated(best, tmp_path, 20, 0.5) is None and best.evaluations_since == 1
    restarted = BestCheckpoint(tmp_path)
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
    best = BestCheckpoint(tmp_path)
    assert best.evaluations_since == 0
    evaluated(best, tmp_path, 10, 0.6)
    assert json.loads((tmp_path / 'best' / 'best.json').read_text()) == {
        'mean_iou': 0.7, 'global_step': 5, 'worse_steps': [10]}
