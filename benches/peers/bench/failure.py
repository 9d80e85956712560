"""What a person can put right: said in one line, without a traceback."""


class Failure(Exception):
    """The bench cannot go on; the message says why and what to do."""
