"""``python -m baserate.cli`` is ``baserate``."""

from baserate.cli import main

main()
