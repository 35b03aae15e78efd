"""Whose fault it is: the three errors that every part of Lastmile raises.

Place in the flow: everywhere. A caller that meets outside bytes catches `LastmileError`
and nothing wider; a bug stays an assertion and ends the process.

* The text of an error tells the person who reads it what to do next.
* `code` is stable and machine readable; the sentence may be reworded or translated.
"""


class LastmileError(Exception):
    """Base of all our errors.

    Args:
        message: A whole English sentence that says what is wrong and what to do next.
        code: A stable word in kebab-case that programs, tests and translations key on.
    """

    def __init__(self, message: str, code: str = "error") -> None:
        super().__init__(message)
        self.code = code


class LocalError(LastmileError):
    """We broke a rule: wrong configuration, wrong call order, an exhausted limit of ours."""


class PeerError(LastmileError):
    """They broke a rule: hostile or damaged bytes, a forged signature, a gap, a replay."""


class DeviceFault(LastmileError):  # noqa: N818 - the word that DESIGN uses
    """The world failed: disk full, bus off, printer without paper, cable unplugged."""
