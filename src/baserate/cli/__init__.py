"""The command line: one command per step of the river; stdout is the result, stderr the story."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Entry point: exit 0 done, 1 held by a gate or a failed check, 2 wrong use."""
    # The arrays are small: more threads would only wait for each other, and change the order in
    # which a sum is added up from one machine to the next.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from baserate.cli.app import app
    from baserate.cli.screen import fail, fail_unexpectedly
    from baserate.terms.errors import BaserateError

    try:
        app(prog_name="baserate")
    except BaserateError as error:
        sys.exit(fail(error, as_json="--json" in sys.argv))
    except Exception as error:
        sys.exit(fail_unexpectedly(error))
    except KeyboardInterrupt:
        print("\nstopped; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
