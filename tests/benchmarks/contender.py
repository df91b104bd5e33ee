"""Contenders of tests: they write down what they were asked for."""

import time

from benchmarks.contenders.worker import Contender, serve


def steady():
    serve(_steady)


def broken():
    raise ValueError('no such net')


def _steady(name, file, parameters, seconds=0.0):
    def act(count):
        with open(file, 'a', encoding='utf8') as out:
            out.write(f'{name}{count} ')
        time.sleep(count * seconds)
    print('what a library prints')
    return Contender(act, {'parameters': parameters})
