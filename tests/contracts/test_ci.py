"""What is checked stands once, in .ci/run and the Makefile; the public host and pre-commit only call them."""

import os
import re
import tomllib

from tests.paths import ROOT


def read(name):
    return (ROOT / name).read_text(encoding='utf8')


def targets():
    return set(re.findall(r'^([a-z-]+):', read('Makefile'), re.MULTILINE))


def test_the_workflow_runs_what_ci_runs_and_nothing_else():
    workflow = read('.github/workflows/ci.yml')
    assert re.findall(r'^ +- run: (.*)$', workflow, re.MULTILINE) == ['.ci/run'] and workflow.count('run:') == 2
    assert os.access(ROOT / '.ci' / 'run', os.X_OK)


def test_the_workflow_has_the_python_that_the_project_needs():
    version, = re.findall(r"^ +python-version: '(.*)'$", read('.github/workflows/ci.yml'), re.MULTILINE)
    assert tomllib.loads(read('pyproject.toml'))['project']['requires-python'] == f'=={version}.*'
    assert f'PYTHON ?= python{version}\n' in read('Makefile')


def test_ci_runs_lint_the_fast_tests_the_demo_and_the_slow_tests():
    commands = [line for line in read('.ci/run').splitlines() if line.startswith(('make ', '.venv/'))]
    made = [line.removeprefix('make ') for line in commands[:-1]]
    assert made == ['lint', 'test', 'demo'] and set(made) < targets()
    assert ' -m slow ' in commands[-1]
    fast, = re.findall(r'^test: .*\n\t.*-m "(.*?)"', read('Makefile'), re.MULTILINE)
    assert fast == 'not slow'  # so that the two together are all


def test_pre_commit_runs_the_same_lint():
    config = read('.pre-commit-config.yaml')
    assert re.findall(r'^ +entry: (.*)$', config, re.MULTILINE) == ['make lint']
    revisions = re.findall(r'^ +rev: (.*)$', config, re.MULTILINE)
    assert revisions and all(re.fullmatch(r'v\d+\.\d+\.\d+', revision) for revision in revisions)
