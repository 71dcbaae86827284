"""Text that looks the same to people and is another to machines."""

from __future__ import annotations

#: Latin letters and Cyrillic or Greek ones that look like them.
_LOOKALIKES = str.maketrans("aceiopsxyABCEHIKMOPTX", "асеіорѕхуАВСЕНІКМОРТХ")
_INVISIBLE = ("\u200b", "\u200c", "\u2060")


def with_lookalikes(text: str) -> str:
    """The text with letters of other scripts in the place of Latin ones that look the same."""
    return text.translate(_LOOKALIKES)


def with_invisible(text: str) -> str:
    """The text with an invisible character within each word of more than three letters."""
    words = text.split(" ")
    return " ".join(_broken(word, _INVISIBLE[n % 3]) for n, word in enumerate(words))


def _broken(word: str, mark: str) -> str:
    middle = len(word) // 2
    return f"{word[:middle]}{mark}{word[middle:]}" if len(word) > 3 else word
