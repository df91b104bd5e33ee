"""Dependencies point one way: mains -> runner -> run, model_fn -> nets -> backbones -> layers -> compat."""

import ast

from tests.paths import ROOT

# package or module -> the project's modules that it may not import
FORBIDDEN = {
    'console': ('deeplab', 'datasets', 'pretrained'),
    'datasets': ('deeplab', 'pretrained'),
    'pretrained': ('datasets', 'deeplab.nets', 'deeplab.backbones', 'deeplab.training.train', 'deeplab.run'),
    'deeplab.recipes.schema': ('datasets', 'pretrained', 'deeplab', 'tensorflow'),
    'deeplab.recipes.recipe': ('datasets', 'pretrained', 'deeplab.compat', 'deeplab.run', 'tensorflow'),
    'deeplab.layers': ('deeplab.backbones', 'deeplab.nets', 'deeplab.run', 'deeplab.model_fn', 'datasets',
                       'pretrained'),
    'deeplab.backbones': ('deeplab.nets', 'deeplab.run', 'deeplab.model_fn', 'datasets', 'pretrained'),
    'deeplab.nets': ('deeplab.run', 'deeplab.model_fn', 'datasets', 'pretrained'),
    'deeplab.model_fn': ('deeplab.training.train', 'deeplab.command.flags', 'pretrained'),
    'deeplab.run': ('deeplab.training.train', 'deeplab.model_fn', 'deeplab.command.flags', 'pretrained'),
}


def modules():
    """{dotted name: (path, dotted names that it imports)} of everything that isn't a test or a main."""
    found = {}
    for package in ('console', 'deeplab', 'datasets', 'pretrained'):
        for path in (ROOT / package).rglob('*.py'):
            name = '.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')
            found[name] = set(imports(ast.parse(path.read_text(encoding='utf8'))))
    return found


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def below(name, parent):
    return name == parent or name.startswith(parent + '.')


def test_dependencies_point_one_way():
    found = modules()
    assert len(found) > 40
    for scope in FORBIDDEN:
        assert any(below(name, scope) for name in found), f'{scope} is gone'
    wrong = [f'{name} imports {imported}' for name, imported_names in found.items() for imported in imported_names
             for scope, forbidden in FORBIDDEN.items() if below(name, scope)
             for target in forbidden if below(imported, target) and not below(imported, scope)]
    assert not wrong


def test_the_tf1_api_has_one_door():
    wrong = [f'{name} imports {imported}' for name, imported_names in modules().items() for imported in imported_names
             if name.startswith('deeplab') and name != 'deeplab.compat'
             and (below(imported, 'tensorflow') or below(imported, 'tf_slim'))]
    assert not wrong


def test_nothing_loads_code_from_files():
    """Keras files and pickles run what they hold; archives are unpacked by one function only."""
    sources = {path: path.read_text(encoding='utf8') for package in ('deeplab', 'datasets', 'pretrained')
               for path in (ROOT / package).rglob('*.py')}
    assert sources
    for words in ('load_model', 'pickle.', 'import pickle', 'allow_pickle=True', 'get_file', '.ignore_errors('):
        assert not [path for path, text in sources.items() if words in text], words
