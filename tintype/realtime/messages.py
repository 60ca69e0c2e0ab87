"""What does the database itself broadcast?

Each row that is inserted into `realtime.messages`, by `realtime.send`,
`realtime.broadcast_changes` or by hand, once its transaction has committed. On a Supabase project
the table has partitions, whose names begin alike.
"""

from tintype.realtime.frames import Message, quote
from tintype.realtime.rows import Row

SCHEMA, TABLE = "realtime", "messages"
PREFIX = "realtime:"


def is_message(place: tuple[str, str]) -> bool:
    """Whether a table, by schema and name, holds what the database broadcasts."""
    return place[0] == SCHEMA and (place[1] == TABLE or place[1].startswith(f"{TABLE}_"))


def broadcast_of(row: Row) -> tuple[Message, bool]:
    """Return the broadcast that a row stands for, and whether its topic is private.

    The row's id comes in `meta`, and in the payload where `realtime.send` put it.
    """
    values, texts = row.values, row.record or {}
    said = texts["payload"] if values["payload"] is not None else "{}"
    payload = (
        f'{{"type":"broadcast","event":{quote(values["event"] or "")},'
        f'"payload":{said},"meta":{{"id":{texts["id"]}}}}}'
    )
    return Message(PREFIX + values["topic"], "broadcast", payload), bool(values["private"])
