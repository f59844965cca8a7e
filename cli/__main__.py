"""`python -m cli`, which the launcher runs."""

if __name__ == "__main__":  # A worker process imports this module again and must not start another service.
    from cli.main import main

    main()
