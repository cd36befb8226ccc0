"""``python -m safeframe``: the ``safeframe`` command."""

from safeframe.cli import main

if __name__ == "__main__":
    main(prog_name="safeframe")
