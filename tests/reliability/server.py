"""Children that start at once: TensorFlow is imported once, and forked before it has run anything.

One JSON document a line comes in and one goes out: `{"start": {arguments of training.run}}` gives `{"pid": ...}`, and
`{"wait": pid}` gives `{"status": ...}`, a negative one being the signal that ended it.
"""

import json
import os
import pathlib
import sys
import traceback

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1])]

import training  # noqa: E402

from kerastrain._core.errors import KerastrainError  # noqa: E402


def child(arguments):
    """Run a training as a command would, with the exit codes of one."""
    with open(pathlib.Path(arguments["folder"]) / "told.txt", "ab") as told:
        os.dup2(told.fileno(), 1)
        os.dup2(told.fileno(), 2)
    os.close(0)
    code = 0
    try:
        training.run(**arguments)
    except KerastrainError as error:
        print(error, file=sys.stderr)
        code = error.exit_code
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main():
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            pid = os.fork()
            if pid == 0:
                child(request["start"])
            answer = {"pid": pid}
        else:
            answer = {"status": os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
