"""One version, in deeplab/__init__.py; whatever else names it agrees."""

import importlib.metadata
import re
import subprocess
import sys

import pytest

import deeplab
from console import checkout
from deeplab.command import version
from tests.paths import ROOT

MAINS = ('train', 'evaluate', 'inference', 'export_model', 'semantic_segmentation')


def test_the_line_has_versions_and_commit(monkeypatch):
    monkeypatch.setattr(checkout, 'git', lambda: {'commit': '0123456789', 'dirty': True})
    tensorflow = importlib.metadata.version('tensorflow')
    assert version.line() == f'deeplab-harness {deeplab.__version__}, TensorFlow {tensorflow}, commit 0123456+'


def test_the_line_of_an_installation_without_tensorflow(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(checkout, 'ROOT', None)
    monkeypatch.setattr(importlib.metadata, 'version', missing)
    assert version.line() == f'deeplab-harness {deeplab.__version__}, TensorFlow not installed'


@pytest.mark.parametrize('main', MAINS)
def test_every_main_tells_it_before_tensorflow_is_imported(main):
    code = (f'import sys, {main}\ntry:\n    {main}.main(["--version"])\nexcept SystemExit as end:\n'
            f'    print(end.code, "tensorflow" in sys.modules)')
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [version.line(), '0 False']


def test_what_is_cited_is_this_version():
    text = (ROOT / 'CITATION.cff').read_text(encoding='utf8')
    assert re.findall(r'^version: (.*)$', text, re.MULTILINE) == [deeplab.__version__]
    assert re.findall(r'^license: (.*)$', text, re.MULTILINE) == ['Apache-2.0']


def test_the_changelog_begins_with_this_version():
    text = (ROOT / 'CHANGELOG.md').read_text(encoding='utf8')
    assert re.findall(r'^## \[(.*?)\]', text, re.MULTILINE)[0] == deeplab.__version__
