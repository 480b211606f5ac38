"""The one exception for what a caller can mend."""


class UserError(ValueError):
    """A value the caller chose that cannot be used.

    `str()` is one line, "<argument>: <what was given and what is allowed>"; an
    experiment prints it after "--" and exits with code 2.
    """

    def __init__(self, argument: str, message: str):
        super().__init__(f"{argument}: {message}")
        self.argument = argument
        self.message = message
