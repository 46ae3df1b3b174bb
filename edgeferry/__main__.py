"""`python -m edgeferry` is the same as `edgeferry`."""

from edgeferry.cli import main

main()
