"""What a number is called: the call that gives it again."""


def spec_of(name: str, **options) -> str:
    """`name(option=value, ...)`, which `cnnlab.diagnostics.measuring.measure` takes."""
    listed = ", ".join(f"{option}={value!r}" for option, value in options.items())
    return f"{name}({listed})"
