import ast
import subprocess
import sys

from tests.paths import ROOT

FORBIDDEN = {'deeplab', 'pretrained'}
# What conversion needs before it writes, on purpose without TensorFlow's seconds and megabytes.
WITHOUT_TENSORFLOW = ('convert', 'raw.images', 'input.index', 'raw.labels', 'raw.layouts', 'records.manifest',
                      'records.tfrecord', 'row', 'synthetic')


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or '').split('.')[0]


def test_the_data_knows_neither_the_model_nor_the_weights():
    modules = sorted((ROOT / 'datasets').rglob('*.py'))
    assert len(modules) > 10
    assert {path.name: found for path in modules if (found := set(imported(path)) & FORBIDDEN)} == {}


def test_conversion_imports_no_tensorflow():
    modules = ', '.join(f'datasets.{name}' for name in WITHOUT_TENSORFLOW)
    code = f'import sys, {modules}; print("tensorflow" in sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == 'False\n'
