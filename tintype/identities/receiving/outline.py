"""Where in the body are we, and may what stands there be there?

ijson reads the body without its pictures and tells each token. Only what decides what may come
next is judged here, so that it is refused while the rest is still on its way; what the values say
is read when all of it is there.
"""

import contextlib
from typing import Any, NoReturn

import ijson

from tintype.errors import InvalidRequest

IMAGES_MAX = 40
DEPTH_MAX = 32
IDENTITY_NAME_CHARACTERS_MAX = 100
IMAGE_NAME_CHARACTERS_MAX = 255
TEXTS = {
    "identityName": IDENTITY_NAME_CHARACTERS_MAX,
    "userId": IDENTITY_NAME_CHARACTERS_MAX,
    "name": IMAGE_NAME_CHARACTERS_MAX,
}
KNOWN = ("identityName", "userId", "imageFiles")
# How deep a member of the body and of one picture stand.
BODY_DEPTH, IMAGES_DEPTH, IMAGE_DEPTH = 1, 2, 3


class Outline:
    """Follows the structure of one body. `images` counts the pictures begun so far."""

    def __init__(self) -> None:
        self.images = 0
        self._events: Any = ijson.sendable_list()
        # Without this, an integer of more digits than Python converts (4300) leaves an event
        # without a value behind, and the process dies of reading it.
        self._parser: Any = ijson.basic_parse_coro(self._events, use_float=True)
        self._depth = 0
        # The member whose value comes next; "" when a key does, or a value of an array.
        self._key = ""
        self._members: set[str] = set()
        self._image_members: set[str] = set()
        self._in_images = False
        # While something nobody knows is passed over: the depth at which that began.
        self._passing: int | None = None

    @property
    def at_image_data(self) -> bool:
        """Whether the next value is the `data` of a picture."""
        return (
            self._in_images
            and self._passing is None
            and self._depth == IMAGE_DEPTH
            and self._key == "data"
        )

    def feed(self, text: bytes) -> None:
        """Follow the next bytes, in which every picture's data stands as an empty string.

        Raises `InvalidRequest`: `body_not_json`, `nested_too_deeply`, `too_many_images`,
        `member_repeated`, or `field_invalid` with the field's path as `field`.
        """
        # To ijson no bytes are the end.
        if text:
            self._parse(self._parser.send, text)

    def finish(self) -> None:
        """Raise `InvalidRequest` `body_not_json` unless the body is whole."""
        self._parse(self._parser.close)

    def close(self) -> None:
        """Let go of the parser, wherever it is."""
        # Left to the collector, the one in Python complains that the document is not whole.
        with contextlib.suppress(ijson.JSONError, RuntimeError):
            self._parser.close()

    def _parse(self, step: Any, *arguments: bytes) -> None:
        failed = None
        try:
            step(*arguments)
        except (ijson.JSONError, ValueError) as error:
            failed = error
        for name, value in self._events:
            self._take(name, value)
        del self._events[:]
        if failed is not None:
            raise not_json(failed) from None

    def _take(self, event: str, value: Any) -> None:
        if event == "map_key":
            self._enter(value)
        elif event in ("end_map", "end_array"):
            self._leave()
        else:
            if self._passing is None:
                self._judge(event, value)
                self._key = ""
            if event in ("start_map", "start_array"):
                self._depth += 1
                if self._depth > DEPTH_MAX:
                    raise InvalidRequest(
                        "nested_too_deeply", f"The body is nested deeper than {DEPTH_MAX} levels."
                    )

    def _enter(self, key: str) -> None:
        if self._passing is not None:
            return
        self._key = key
        members = self._members if self._depth == BODY_DEPTH else self._image_members
        if key in members:
            raise InvalidRequest(
                "member_repeated",
                f"Field `{self._place(key)}` stands there twice.",
                details={"field": self._place(key)},
            )
        members.add(key)

    def _leave(self) -> None:
        self._depth -= 1
        if self._passing is not None:
            if self._depth == self._passing:
                self._passing = None
        elif self._in_images and self._depth == IMAGES_DEPTH:
            for name in ("name", "data"):
                if name not in self._image_members:
                    missing(self._place(name))
        elif self._in_images and self._depth == BODY_DEPTH:
            self._in_images = False

    def _judge(self, event: str, value: Any) -> None:
        """Refuse a value that may not stand here, before anything inside it."""
        if self._depth == 0:
            self._want(event, "start_map", "")
        elif self._in_images and self._depth == IMAGES_DEPTH:
            self._begin_image(event)
        elif self._in_images and self._key == "data":
            self._want(event, "string", self._place("data"))
        elif self._key == "imageFiles" and not self._in_images:
            self._want(event, "start_array", self._key)
            self._in_images = True
        elif self._key in (("name",) if self._in_images else KNOWN):
            self._want(event, "string", self._place(self._key))
            if len(value) > TEXTS[self._key]:
                raise invalid(
                    self._place(self._key), f"at most {TEXTS[self._key]} characters are taken"
                )
        elif event in ("start_map", "start_array"):
            self._passing = self._depth

    def _begin_image(self, event: str) -> None:
        if self.images == IMAGES_MAX:
            raise InvalidRequest(
                "too_many_images",
                f"At most {IMAGES_MAX} images are taken.",
                details={"limit": IMAGES_MAX},
            )
        self._want(event, "start_map", f"imageFiles[{self.images}]")
        self.images += 1
        self._image_members = set()

    def _want(self, event: str, wanted: str, place: str) -> None:
        if event != wanted:
            reason = f"expected `{_WORDS[wanted]}`, got `{_WORDS.get(event, event)}`"
            raise invalid(place, reason)

    def _place(self, key: str) -> str:
        return f"imageFiles[{self.images - 1}].{key}" if self._in_images else key


_WORDS = {"start_map": "object", "start_array": "array", "string": "string"}


def not_json(reason: object) -> InvalidRequest:
    """Return the error for a body that is not JSON."""
    said = str(reason).partition("\n")[0].strip("b'\"")[:200]
    return InvalidRequest(
        "body_not_json", "The body is not valid JSON.", hint=f"The parser says: {said}."
    )


def invalid(place: str, reason: str) -> InvalidRequest:
    """Return the error for the field at `place`, "" for the body itself."""
    subject = f"Field `{place}`" if place else "The body"
    return InvalidRequest("field_invalid", f"{subject}: {reason}.", details={"field": place or "$"})


def missing(place: str) -> NoReturn:
    """Raise the error for a field that is required and not there."""
    sentence = f"Field `{place}` is required."
    raise InvalidRequest("field_invalid", sentence, details={"field": place})
