"""`python -m bayesrun` is the command `bayesrun`."""

from bayesrun.command.main import main

if __name__ == "__main__":
    main()
