import numpy as np
import pytest

from datasets.input import subset
from datasets.input.index import RecordIndex

INDEX = RecordIndex(('a', 'b', 'c'), tuple(np.array(places, np.int64) for places in ([0, 9], [0], [0, 5, 7])), {'x': 1})


@pytest.mark.parametrize(('count', 'files', 'offsets'), [
    (0, ('a', 'b', 'c'), [[0, 9], [0], [0, 5, 7]]),
    (1, ('a',), [[0]]),
    (3, ('a', 'b'), [[0, 9], [0]]),
    (4, ('a', 'b', 'c'), [[0, 9], [0], [0]]),
    (9, ('a', 'b', 'c'), [[0, 9], [0], [0, 5, 7]]),
])
def test_the_first_examples_in_record_order(count, files, offsets):
    found = subset.first(INDEX, count)
    assert (found.files, [places.tolist() for places in found.offsets]) == (files, offsets)
    assert found.num_examples == sum(map(len, offsets)) and found.manifest == {'x': 1}
    assert found.left_out == 6 - found.num_examples
    assert subset.first(found, 1).left_out == 5
