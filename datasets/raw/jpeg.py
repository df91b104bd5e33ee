"""JPEG files taken apart: whether one is whole, by its marks and headers, without decoding the pixels between them."""

import functools
import io
import re

from PIL import Image

START, END = b'\xff\xd8', b'\xff\xd9'
FRAME, SCAN, RESTART_INTERVAL = 0xC0, 0xDA, 0xDD
TABLES = (0xC4, 0xDB)
# Nothing in them is needed to decode: those of applications, such as EXIF with a picture of its own, and comments.
PASSED_OVER = (*range(0xE0, 0xF0), 0xFE)
# In coded data 0xff is followed by 0; other bytes make it a mark. Where restart marks are announced they belong there.
MARK, MARK_BUT_RESTART = re.compile(rb'\xff[^\0]'), re.compile(rb'\xff[^\0\xd0-\xd7]')
# Any that isn't of coded data, whatever fills the space before it.
ANY_MARK = re.compile(rb'\xff[^\0\xd0-\xd7\xff]')


def is_whole(data: bytes) -> bool:
    """True for a baseline JPEG of three components, in one scan that ends with the end mark, of sound headers.

    Decoders take every such file: to them coded data is never wrong, they fill in what it lacks. False says that only
    decoding tells: the file is damaged, or of a rarer kind such as progressive.
    """
    headers, marks, position = [START], MARK, len(START)
    while True:
        length = int.from_bytes(data[position + 2:position + 4])
        segment = data[position:position + 2 + length]
        if length < 2 or len(segment) != 2 + length or segment[0] != 0xFF:
            return False
        kind, position = segment[1], position + 2 + length
        if kind == FRAME:
            # Of any size, so that files of one encoder have the same headers.
            segment = segment[:5] + b'\0\x10\0\x10' + segment[9:]
        elif kind == RESTART_INTERVAL:
            marks = MARK_BUT_RESTART
        elif kind not in (*TABLES, SCAN, *PASSED_OVER):
            return False
        if kind not in PASSED_OVER:
            headers.append(segment)
        if kind == SCAN:
            break
    mark = marks.search(data, position)
    # The fifth byte of the scan's header is its number of components.
    return mark is not None and mark[0] == END and segment[4:5] == b'\3' and _are_sound(b''.join([*headers, END]))


def ends(data: bytes) -> bool:
    """Whether the marks lead to the end mark as decoders follow them; Pillow is content with pixels before."""
    position = len(START)
    while mark := ANY_MARK.search(data, position):
        if mark[0] == END:
            return True
        position = mark.end()
        if mark[0] != START:
            position += int.from_bytes(data[position:position + 2])
    return False


@functools.lru_cache(maxsize=64)
def _are_sound(headers: bytes) -> bool:
    """Whether libjpeg accepts the tables and parameters: by decoding a picture that has no more than these."""
    try:
        with Image.open(io.BytesIO(headers), formats=('JPEG',)) as image:
            image.load()
            return image.mode == 'RGB'
    except Exception:  # decoders raise whatever damaged bytes lead them to; decoding all tells what it is
        return False
