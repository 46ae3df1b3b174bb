"""The child process: `python -m converter.predict.child` scores portions from its input until it ends.

See `converter.predict.frames` for what goes over the pipes. Whatever native code prints goes to the error stream.
"""

from __future__ import annotations

import os
import sys

from converter.predict.chunk import encode_chunk
from converter.predict.frames import Answer, read_frame, write_frame
from converter.predict.portions import ScoreJob, Span
from converter.predict.scoring import open_scorer
from converter.process.child import end_with_parent
from converter.process.jobs import REFUSED, Failure
from fleet_contract.codec import decode, encode
from fleet_contract.errors import EdgeferryError


def main() -> int:
    """Serves one parent; the exit code is 0 at the end of the input, REFUSED after a failure that was told."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        scorer = open_scorer(decode(read_frame(requests), ScoreJob))
        write_frame(answers, Answer.READY.value)
        while True:
            span = decode(read_frame(requests), Span)
            chunk = scorer.score(span, read_frame(requests))
            write_frame(answers, Answer.CHUNK.value + encode_chunk(chunk))
    except (EOFError, BrokenPipeError):
        return 0
    except EdgeferryError as error:
        failure = Failure(family=type(error).__name__, message=error.message, hint=error.hint)
        write_frame(answers, Answer.FAILURE.value + encode(failure))
        return REFUSED


if __name__ == "__main__":
    end_with_parent()
    sys.exit(main())
