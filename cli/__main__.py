"""`python -m cli`, which the launcher runs."""

import signal

if __name__ == "__main__":
    # Importing begins nothing that would have to be ended; and an exception out of a signal can get lost in an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from cli.main import main

    main()
