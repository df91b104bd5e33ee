"""Our SavedModel against the frozen graph of the official export_model.py, for one image of 50x70."""

import numpy as np
import pytest

from deeplab.trained import checkpointed, export
from tests.deeplab import official, oracle

# Options of the recorded exports, found by comparing: they weren't written down.
CASES = {
    'plain': {'evaluation.pad_to': (65, 81)},
    'resize': {'evaluation.pad_to': (65, 65), 'evaluation.min_resize': 49, 'evaluation.max_resize': 65,
               'evaluation.resize_factor': 16},
    'multiscale_flip': {'evaluation.pad_to': (65, 81), 'evaluation.scales': (0.5, 1.0), 'evaluation.flip': True},
}


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    return official.write_checkpoint(tmp_path_factory.mktemp('official'))


@pytest.mark.parametrize('case', ['plain', 'resize', pytest.param('multiscale_flip', marks=pytest.mark.slow)])
def test_saved_model_equals_the_official_frozen_graph(case, checkpoint, tmp_path):
    run = official.resolved(CASES[case] | {'evaluation.official_compat': True})
    with np.load(oracle.ORACLE / 'export_mnv2_os16_voc.npz') as record:
        folder = export.export(checkpointed.Trained(run, checkpoint, 0), tmp_path)
        (found,) = export.serve(folder, [('serving_default', record['image'])])
        assert (found['classes'] == record[f'{case}_predictions']).mean() > 0.999
        expected = record[f'{case}_probabilities_sub4']
        assert np.abs(found['probabilities'][:, ::4, ::4] - expected).max() <= 3e-5 * expected.max()
