"""Why the embedded server cannot be used; each message is one sentence for whoever typed the command."""


class ServerFailed(Exception):
    """The embedded server could not be started; catch this one for all of them."""


class NoBinaries(ServerFailed):
    """No usable Postgres was found; the message says where was looked."""


class DataFolderInUse(ServerFailed):
    """Another `serve` holds the data folder."""


class DataFolderUnusable(ServerFailed):
    """The data folder is somebody else's, holds something else, or is closed to the server's account."""


class WrongMajorVersion(ServerFailed):
    """The data folder was made by another major version of Postgres than the one that was found."""


class NoServerYet(ServerFailed):
    """The data folder has never been served from."""
