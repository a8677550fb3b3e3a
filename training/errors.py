"""The one kind of error that bad input raises."""


class ClipError(ValueError):
    """A video, joints or data set that cannot be used. One sentence: what was found, what was expected, what to do."""
