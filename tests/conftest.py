"""What several tests share: small records of the synthetic dataset, drawn and converted once a session."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

pytest.register_assert_rewrite('tests.contracts', 'tests.deeplab.backbones.contract', 'tests.deeplab.nets.contract')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

# A net that takes a second to build and milliseconds to run.
TINY = ['--model.backbone_options.depth_multiplier', '0.1', '--model.options.aspp_convs_filters', '16',
        '--model.options.decoder_filters', '16', '--data.crop_size', '65,65', '--batch_size', '4']


def python(*arguments, check=True, **options) -> subprocess.CompletedProcess:
    """Runs Python in the project's root, as a user would; its output is kept as text."""
    result = subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True,
                            timeout=600, **options)
    if check:
        assert result.returncode == 0, f'{arguments} ended with {result.returncode}:\n{result.stdout}\n{result.stderr}'
    return result


@pytest.fixture(scope='session')
def raw(tmp_path_factory) -> Path:
    """The synthetic dataset in the VOC layout: 12 training images and 4 for evaluation."""
    folder = tmp_path_factory.mktemp('raw')
    python('-m', 'datasets.synthetic', '--output_dir', folder, '--num_train', 12, '--num_val', 4)
    return folder


@pytest.fixture(scope='session')
def record_dir(raw, tmp_path_factory) -> Path:
    """The records of `raw`."""
    folder = tmp_path_factory.mktemp('records')
    python('-m', 'datasets.convert', '--dataset', 'synthetic', '--raw_dir', raw, '--output_dir', folder)
    return folder
