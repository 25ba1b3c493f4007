"""`python -m dse` is `dse`."""

from .cli import main

if __name__ == "__main__":
    main()
