"""`python -m bayesrun` is the command `bayesrun`."""

from bayesrun.cli import main

if __name__ == "__main__":
    main()
