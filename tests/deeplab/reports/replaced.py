"""Results with some values replaced."""

import copy


def replaced(result, **changes):
    """The result JSON with values replaced by path, '__' for the dot."""
    result = copy.deepcopy(result)
    for path, value in changes.items():
        *parents, name = path.split('__')
        section = result
        for parent in parents:
            section = section[parent]
        section[name] = value
    return result
