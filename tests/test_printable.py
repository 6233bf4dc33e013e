"""What is printed of texts that others wrote."""

from linq_source.printable import printable


def test_what_a_terminal_would_obey_is_replaced_and_all_else_stays() -> None:
    assert printable("\x1b[2Ja\r\n\x07\u202eb\ud800") == "\ufffd[2Ja\ufffd\ufffd\ufffd\ufffdb\ufffd"
    assert printable("Größe 1 \U0001f600") == "Größe 1 \U0001f600"
