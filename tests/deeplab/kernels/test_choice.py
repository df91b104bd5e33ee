"""Whose kernels a training takes, and what is said of it."""

import pytest

from deeplab import run
from deeplab.compat import tensorflow, tf
from deeplab.kernels import build, choice
from deeplab.recipes import recipe
from deeplab.recipes.schema import Recipe
from deeplab.training import kernels
from tests.kernels import needed


@pytest.fixture
def no_compiler(monkeypatch):
    def library(name):
        raise build.Unavailable('there is no compiler g++')
    monkeypatch.setattr(choice.batch_norm, 'operations', lambda: library('batch_norm'))


def decided(**options):
    return kernels.decided(run.resolve(recipe.override(
        Recipe(), {f'train.{name}': value for name, value in options.items()}))).recipe.train.kernels


@needed
def test_bfloat16_has_our_own_where_they_can_be_built(capsys):
    assert decided(precision='bfloat16') == 'own'
    assert 'our own batch norm, features in bfloat16' in capsys.readouterr().err
    assert decided(precision='float32') == decided(precision='bfloat16', kernels='tensorflow') == 'tensorflow'
    assert not capsys.readouterr().err
    assert decided(precision='float32', kernels='own') == 'own'


def test_without_a_compiler_there_are_tensorflows_and_it_is_said(no_compiler, capsys):
    assert decided(precision='bfloat16') == 'tensorflow'
    assert capsys.readouterr().err == "kernels: TensorFlow's (there is no compiler g++)\n"
    with pytest.raises(ValueError, match='train.kernels = own: there is no compiler g[+][+]; leave it on auto'):
        decided(precision='bfloat16', kernels='own')


def test_on_a_gpu_there_are_tensorflows(monkeypatch, capsys):
    monkeypatch.setattr(tensorflow.config, 'list_physical_devices', lambda kind: ['one'])
    assert decided(precision='bfloat16') == 'tensorflow'
    assert 'a GPU is here' in capsys.readouterr().err
    assert decided(precision='float16') == 'tensorflow'


def test_they_decide_the_type_of_features():
    assert choice.features('own', 'bfloat16') == tf.bfloat16 and choice.features('own', 'float32') == tf.float32
    assert choice.features('tensorflow', 'bfloat16') is None is choice.features('auto', 'bfloat16')
