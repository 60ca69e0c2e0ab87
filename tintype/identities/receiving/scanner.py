"""Which bytes of the body are a picture's, and which are the text around it?

Strings are found by C's own searching, piece by piece. Whenever one opens, the Outline knows
whether it is a picture's data; that goes to a Decoder, and in the text an empty string stands for
it. Everything else is text, of which `TEXT_BYTES_MAX` bytes are taken in all.
"""

import re
from pathlib import Path

from tintype.errors import InvalidRequest, TooLarge
from tintype.identities.receiving.decoder import Decoder
from tintype.identities.receiving.outline import Outline, not_json

# Names, consent, settings, and the white space between them.
TEXT_BYTES_MAX = 64 * 1024
# `\u12ab`
ESCAPE_BYTES_MAX = 6

# The inside of a string, up to its end or an escape that is not whole; no control characters.
_INSIDE = re.compile(rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_CONTROLS = bytes(range(0x20))


class Scanner:
    """Takes one body apart into `text` and the files of `decoders`, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.text = bytearray()
        self.decoders: list[Decoder] = []
        self._folder = folder
        self._outline = Outline()
        self._in_string = False
        self._decoder: Decoder | None = None
        # An escape whose end has not come yet.
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Take the next bytes; raise what `Outline.feed` and `Decoder.write` do, and `TooLarge`
        `text_too_large`."""
        if self._rest:
            piece, self._rest = self._rest + piece, b""
        place = 0
        while place < len(piece):
            step = self._inside if self._in_string else self._outside
            place = step(piece, place)

    def finish(self) -> None:
        """Raise `InvalidRequest` `body_not_json` unless the body is whole."""
        if self._in_string:
            raise not_json("a string does not end")
        self._outline.finish()

    def close(self) -> None:
        """Close the file that is being written, if any; nothing can be fed any more."""
        self._outline.close()
        if self._decoder is not None:
            self._decoder.close()

    def _outside(self, piece: bytes, place: int) -> int:
        quote = piece.find(b'"', place)
        if quote < 0:
            self._pass(piece[place:])
            return len(piece)
        self._pass(piece[place:quote])
        self._in_string = True
        if self._outline.at_image_data:
            number = self._outline.images
            self._decoder = Decoder(self._folder / f"received_{number:03}", number)
            self.decoders.append(self._decoder)
        else:
            self._pass(b'"')
        return quote + 1

    def _inside(self, piece: bytes, place: int) -> int:
        end = self._end(piece, place)
        content = piece[place:end]
        if self._decoder is not None:
            self._decoder.write(content)
        else:
            self._pass(content)
        if end == len(piece):
            return end
        if piece[end] == ord('"'):
            self._in_string = False
            if self._decoder is not None:
                self._decoder.finish()
                self._decoder = None
                self._pass(b'""')
            else:
                self._pass(b'"')
            return end + 1
        if piece[end] != ord("\\") or len(piece) - end >= ESCAPE_BYTES_MAX:
            raise _unescaped()
        self._rest = piece[end:]
        return len(piece)

    def _end(self, piece: bytes, place: int) -> int:
        """Return where the string ends, or the piece, or what is whole of the string."""
        if self._decoder is not None:
            quote = piece.find(b'"', place)
            end = len(piece) if quote < 0 else quote
            # As most write it, base64 has no escapes; then two fast searches are enough.
            if piece.find(b"\\", place, end) < 0:
                content = piece[place:end]
                if len(content.translate(None, _CONTROLS)) < len(content):
                    raise _unescaped()
                return end
        found = _INSIDE.match(piece, place)
        assert found is not None
        return found.end()

    def _pass(self, text: bytes) -> None:
        room = TEXT_BYTES_MAX - len(self.text)
        self.text += text[:room]
        self._outline.feed(text[:room])
        if len(text) > room:
            raise TooLarge(
                "text_too_large",
                f"Beside its pictures the body may hold {TEXT_BYTES_MAX} bytes.",
                details={"limit_bytes": TEXT_BYTES_MAX},
            )


def _unescaped() -> InvalidRequest:
    return not_json("a string holds what has to be escaped")
