"""Run the command line as `python -m saqiya`."""

from saqiya.cli.app import main

main()
