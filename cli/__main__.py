"""`python -m cli`, which the launcher runs."""

import sys

if __name__ == "__main__":
    try:
        from cli.main import main

        main()
    except KeyboardInterrupt:  # Before `main` has taken the signals over.
        sys.exit(130)
