import io
from itertools import pairwise

from console.progress import Progress, duration


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def run(stream, total=40, seconds_each=1.0):
    clock = Clock()
    with Progress(total, 'reading', stream, clock) as progress:
        for _ in range(total):
            clock.now += seconds_each
            progress.update()
    return stream.getvalue()


def test_a_terminal_gets_one_line_rewritten():
    text = run(Terminal())
    assert text.count('\n') == 1 and text.endswith('\n')
    lines = text.rstrip('\n').split('\r')
    assert lines[0] == '' and len(lines) == 41
    assert lines[10].rstrip() == 'reading [######..................] 10/40  25 % · 1.0/s · 0:30 left'
    assert lines[-1].rstrip() == f'reading [{"#" * 24}] 40/40 100 % · 1.0/s · took 0:40'
    # Each line covers the one before it.
    assert all(len(new) >= len(old.rstrip()) for old, new in pairwise(lines))


def test_elsewhere_plain_lines_now_and_then():
    text = run(io.StringIO())
    assert not set(text) & {'\r', '\x1b', '\b'}
    assert text.splitlines() == ['reading: 10/40  25 % · 1.0/s · 0:30 left', 'reading: 20/40  50 % · 1.0/s · 0:20 left',
                                 'reading: 30/40  75 % · 1.0/s · 0:10 left', 'reading: 40/40 100 % · 1.0/s · took 0:40']


def test_nothing_to_do_and_stopping_early():
    assert run(io.StringIO(), total=0) == 'reading: 0/0 100 % · 0.0/s · took 0:00\n'
    stream, clock = io.StringIO(), Clock()
    progress = Progress(10, 'reading', stream, clock)
    clock.now += 4
    progress.update(2)
    progress.close()
    assert stream.getvalue() == 'reading: 2/10  20 % · 0.5/s · 0:16 left\n'


def test_the_default_stream_is_standard_error(capsys):
    Progress(1, 'reading').close()
    captured = capsys.readouterr()
    assert captured.out == '' and captured.err.startswith('reading: 0/1')


def test_durations():
    assert [duration(seconds) for seconds in (0, 59.6, 187, 3765)] == ['0:00', '1:00', '3:07', '1:02:45']
