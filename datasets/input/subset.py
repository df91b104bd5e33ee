"""The first examples of a split, to see whether a net learns at all."""

import dataclasses

from datasets.input.index import RecordIndex


def first(index: RecordIndex, count: int) -> RecordIndex:
    """The index of the first `count` examples in record order; 0 means all. Its manifest is still the whole split's."""
    if not count:
        return index
    files, offsets, left_out = [], [], index.left_out
    for file, places in zip(index.files, index.offsets, strict=True):
        taken = places[:count]
        left_out += len(places) - len(taken)
        if len(taken):
            files.append(file)
            offsets.append(taken)
            count -= len(taken)
    return dataclasses.replace(index, files=tuple(files), offsets=tuple(offsets), left_out=left_out)
