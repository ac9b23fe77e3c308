"""`python -m failover` is the `failover` command."""

from failover.cli import main

main()
