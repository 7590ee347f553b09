"""Names from files as they may stand in messages, tables and text files."""

import re

_ESCAPES = {
    code: ascii(chr(code))[1:-1]
    for code in (
        *range(32),
        *range(127, 160),
        0x061C,
        *range(0x200E, 0x2010),
        *range(0x2028, 0x202F),
        *range(0x2066, 0x206A),
        *range(0xD800, 0xE000),
    )
}
"""Escape sequences for control characters, line separators, characters that change the direction of
a text, and surrogates, which no file can hold."""

_FORMULA = re.compile("(^|;)(?=[=+@\t\r\uff1d\uff0b\uff0d\uff20-])")
"""What spreadsheets take for the beginning of a formula, in a cell or, where decimals have a comma,
after a semicolon; some also take characters of full width."""


def one_line(text: str) -> str:
    r"""Escape what would break a line, change how it is shown, or command a terminal.

    >>> print(one_line("a\nb \x1b[31m"))
    a\nb \x1b[31m
    """
    return text.translate(_ESCAPES)


def csv_cell(value: object) -> object:
    r"""Return a value for a CSV file: numbers as they are, texts in one line and never a formula.

    >>> csv_cell("=1+1"), csv_cell("\tcar"), csv_cell(-1)
    ("'=1+1", "'\\tcar", -1)
    """
    if not isinstance(value, str):
        return value
    return one_line(_FORMULA.sub(r"\1'", value))
