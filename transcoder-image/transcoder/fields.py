"""Reads JSON objects of a known shape, field by field: the job, the orders, the reports.

Rule: a document is used only after all of it has been checked. An unknown, missing or wrongly typed field is an error whose
message names the field and never quotes its value, because a value may be a secret.

Imported before FFmpeg is started (`transcoder.job`): it imports nothing.
"""

LONGEST_TEXT = 16_384
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class BadDocument(ValueError):
    """The document does not have the shape that is expected; the message names the field."""


class Fields:
    """One JSON object. Each field that is read is taken out; `done` refuses what is left over."""

    def __init__(self, value: object, where: str = "") -> None:
        """`where`: the path of the object in its document, for messages; "" for the document itself."""
        if not isinstance(value, dict):
            raise BadDocument(f"{where or 'the document'} is not an object")
        self._left = dict(value)
        self._prefix = f"{where}." if where else ""

    def take(self, name: str) -> object:
        """The value, of any type."""
        if name not in self._left:
            raise BadDocument(f"{self._prefix}{name} is missing")
        return self._left.pop(name)

    def has(self, name: str) -> bool:
        """Whether the field is there and was not read yet."""
        return name in self._left

    def object(self, name: str) -> "Fields":
        """An object inside this one."""
        return Fields(self.take(name), self._prefix + name)

    def objects(self, name: str, most: int) -> list["Fields"]:
        """A list of at most `most` objects."""
        where, value = self._prefix + name, self.take(name)
        if not isinstance(value, list):
            raise BadDocument(f"{where} is not a list")
        if len(value) > most:
            raise BadDocument(f"{where} has more than {most} elements")
        return [Fields(each, f"{where}[{n}]") for n, each in enumerate(value)]

    def text(self, name: str, longest: int = LONGEST_TEXT) -> str:
        """A text that is not empty."""
        return text(self.take(name), self._prefix + name, longest=longest)

    def optional_text(self, name: str, longest: int = LONGEST_TEXT) -> str:
        """A text; "" where there is none, or null."""
        if not self.has(name) or self._left[name] is None:
            self._left.pop(name, None)
            return ""
        return text(self.take(name), self._prefix + name, empty=True, longest=longest)

    def name(self, name: str) -> str:
        """A text of letters, digits, dots, hyphens and underscores."""
        return plain_name(self.text(name), self._prefix + name)

    def texts(self, name: str) -> dict[str, str]:
        """An object whose values are texts."""
        where, value = self._prefix + name, self.take(name)
        if not isinstance(value, dict):
            raise BadDocument(f"{where} is not an object")
        return {text(key, where): text(each, f"{where}.{key}", empty=True) for key, each in value.items()}

    def number(self, name: str, least: float, most: float, whole: bool = False) -> float:
        """A number between `least` and `most`, both included."""
        value = self.take(name)
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise BadDocument(f"{self._prefix}{name} is not a {'whole ' if whole else ''}number")
        if not least <= value <= most:  # also refuses NaN
            raise BadDocument(f"{self._prefix}{name} is not within {least:g} and {most:g}")
        return float(value)

    def whole(self, name: str, least: int, most: int) -> int:
        """A whole number between `least` and `most`, both included."""
        return int(self.number(name, least, most, whole=True))

    def optional(self, name: str, least: float, most: float) -> float | None:
        """A number; None where there is none, or null."""
        if not self.has(name) or self._left[name] is None:
            self._left.pop(name, None)
            return None
        return self.number(name, least, most)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.take(name)
        if not isinstance(value, bool):
            raise BadDocument(f"{self._prefix}{name} is neither true nor false")
        return value

    def http(self, name: str) -> str:
        """An HTTP or HTTPS address."""
        url = self.text(name)
        if not url.startswith(("http://", "https://")):
            raise BadDocument(f"{self._prefix}{name} is not an http(s) address")
        return url

    def fault(self, name: str, message: str) -> BadDocument:
        """An error about one of this object's fields."""
        return BadDocument(f"{self._prefix}{name}{message}")

    def done(self) -> None:
        """Refuses fields that nobody has read."""
        if self._left:
            raise BadDocument(f"{self._prefix}{min(self._left)} is unknown")


def text(value: object, where: str, empty: bool = False, longest: int = LONGEST_TEXT) -> str:
    """Checks a text: its length, and that it has no control character."""
    if not isinstance(value, str) or not (value or empty):
        raise BadDocument(f"{where} is not a text")
    if len(value) > longest:
        raise BadDocument(f"{where} is too long")
    # A line break would start another header, a NUL would cut an argument short.
    if any(character < " " or character == "\x7f" for character in value):
        raise BadDocument(f"{where} has a control character")
    return value


def is_plain_name(value: str) -> bool:
    """Whether it is accepted as the name of a session, an input or a codec."""
    return _NAME.issuperset(value) and not value.startswith(".") and len(value) <= LONGEST_TEXT


def plain_name(value: str, where: str) -> str:
    """Checks a name."""
    if not is_plain_name(value):
        raise BadDocument(f"{where} is not a plain name")
    return value
