"""`python -m xtalseek` is the same as the `xtalseek` command."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
