"""What does a client want a picture to become?"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from tintype.errors import InvalidRequest

SIDE_PIXELS_MAX = 2000
QUALITY_MIN = 20
QUALITY_MAX = 100
QUALITY = 80
SIGNED_CHARACTERS_MAX = 200

Side = Annotated[int, msgspec.Meta(ge=1, le=SIDE_PIXELS_MAX)]
Quality = Annotated[int, msgspec.Meta(ge=QUALITY_MIN, le=QUALITY_MAX)]
Format = Literal["origin", "webp", "avif"]


class Options(msgspec.Struct, frozen=True):
    """The sides are in pixels. `format` None leaves the choice to the `Accept` header."""

    width: Side | None = None
    height: Side | None = None
    resize: Literal["cover", "contain", "fill"] = "cover"
    quality: Quality = QUALITY
    format: Format | None = None

    def signed(self) -> str:
        """Return the options as a signed URL's token holds them: `width:10,resize:cover`."""
        chosen = msgspec.structs.asdict(self)
        return ",".join(f"{name}:{value}" for name, value in chosen.items() if value is not None)

    def output(self, accept: str) -> Format:
        """Return the format to answer with.

        WebP goes before AVIF when the client takes both: it is made ten times faster.
        """
        if self.format is not None:
            return self.format
        taken = {
            kind.partition(";")[0].strip().lower()
            for kind in accept.split(",")
            if "q=0" not in kind.replace(" ", "").split(";")[1:]
        }
        if "image/webp" in taken:
            return "webp"
        return "avif" if "image/avif" in taken else "origin"


NAMES = frozenset(field.name for field in msgspec.structs.fields(Options))


def parse(given: Mapping[str, Any]) -> Options:
    """Return the options among `given`, the rest of which is ignored.

    Raises `InvalidRequest` (`transform_invalid`) for one that is out of range.
    """
    chosen = {name: value for name, value in given.items() if name in NAMES and value != ""}
    try:
        return msgspec.convert(chosen, Options, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            "transform_invalid",
            f"The transform is not as expected: {error}.",
            hint=f"Sides are 1 to {SIDE_PIXELS_MAX}, quality {QUALITY_MIN} to {QUALITY_MAX}.",
        ) from error


def parse_signed(text: str) -> Options:
    """Return the options that `Options.signed` wrote. Raises `InvalidRequest`."""
    pairs = (pair.partition(":") for pair in text[:SIGNED_CHARACTERS_MAX].split(",") if pair)
    return parse({name: value for name, _, value in pairs})
