"""`python -m a3crepro`: trains; see `a3crepro.cli`."""

from a3crepro.cli import main

if __name__ == "__main__":
    main()
