"""`python -m usertcp ...`: the command line."""

from usertcp.cli import main

if __name__ == "__main__":
    main(prog_name="usertcp")
