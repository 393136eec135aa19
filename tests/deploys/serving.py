"""Runs on a booted host: ``answer`` of the script that is named, for each line of JSON from stdin, as a line of JSON.

The script is imported once, which takes most of the time that a question takes. Each question is answered in a process
of its own, so that nothing that one has looked at is known to the next.
"""

import importlib.util
import json
import os
import sys
import traceback


def main():
    spec = importlib.util.spec_from_file_location("served", sys.argv[1])
    served = sys.modules["served"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(served)
    answers = os.dup(1)
    os.dup2(2, 1)  # what else is written does not get among the answers
    for line in sys.stdin:
        child = os.fork()
        if not child:
            try:
                answer = {"answer": served.answer(json.loads(line))}
            except BaseException:
                answer = {"raised": traceback.format_exc()}
            with os.fdopen(answers, "w") as writing:
                writing.write(f"{json.dumps(answer)}\n")
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
