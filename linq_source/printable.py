"""Texts that others wrote, as a terminal may be given them."""


def printable(text: str) -> str:
    """Return a text without what moves a cursor or changes a terminal: U+FFFD stands for each such sign."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
