"""Exit statuses, and how a command ends that cannot do what it was asked."""

from enum import IntEnum


class ExitStatus(IntEnum):
    """What a command tells the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_SUCH_SUBJECT = 3


class Failed(Exception):
    """The command cannot be done; the text is the one sentence that the user reads."""

    status = ExitStatus.FAILED


class Misused(Failed):
    """The command line or the configuration cannot be meant so."""

    status = ExitStatus.USAGE


class NoSubject(Failed):
    """Nobody by that name, present or past."""

    status = ExitStatus.NO_SUCH_SUBJECT
