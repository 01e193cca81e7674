"""Runs inside the image: types many command lines in one process, each in a fork of it, and prints what each said.

Usage: typing_many.py LINES, a JSON list of command lines, each a list of words. Prints one of [exit code, standard
output, standard error].
"""

import json
import os
import sys
import tempfile
from importlib import import_module


def typed(words):
    """What a command line says, and its exit code."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as error:
        child = os.fork()
        if child == 0:
            os.dup2(output.fileno(), 1)
            os.dup2(error.fileno(), 2)
            become(words)
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (output, error):
            file.seek(0)
            texts.append(file.read().decode())
    return [os.waitstatus_to_exitcode(status), *texts]


def become(words):
    """Run a command, and end as it does."""
    sys.argv = list(words)
    code = 1
    try:
        import_module(f"rlsif.commands.{words[0].replace('-', '_')}").main()
    except SystemExit as problem:
        code = problem.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    json.dump([typed(words) for words in json.loads(sys.argv[1])], sys.stdout)
