"""How does a request with forty pictures in it come in without being held?

`receive` reads the body of train-identity as it arrives: `imageFiles` of `{name, data}`, each
`data` base64 or a data URL of at most `IMAGE_BYTES_MAX` bytes, `identityName`, `userId`, and
whatever else the app says. The largest legal body has 1.1 GB. What is in memory is one piece of it
and the text around the pictures; the pictures go to files, decoded on the way, and each limit is
refused at the byte that passes it.

    Outline        where in the JSON are we? (ijson's events)
    Scanner        cuts the pictures' strings out of the JSON, piece by piece
    Decoder        makes a file of one such string: escapes, data URL, base64, first bytes
    Gate           how many such requests may be received at once

A function that uses it declares `body_bytes_max = BODY_BYTES_MAX` and
`answer_seconds_max = ANSWER_SECONDS_MAX`, and gives it `invocation.chunks()`.
"""

from tintype.identities.receiving.gate import Gate
from tintype.identities.receiving.request import (
    ANSWER_SECONDS_MAX,
    BODY_BYTES_MAX,
    Received,
    TrainIdentity,
    receive,
)

__all__ = [
    "ANSWER_SECONDS_MAX",
    "BODY_BYTES_MAX",
    "Gate",
    "Received",
    "TrainIdentity",
    "receive",
]
