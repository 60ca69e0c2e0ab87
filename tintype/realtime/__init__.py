"""What is told to apps as it happens?

A `Socket` is one client's websocket at `/realtime/v1/websocket`, speaking Phoenix's protocol (vsn
1.0.0 and 2.0.0) as Supabase's clients do. It joins `Channel`s, each on a `Topic`; on a topic
clients broadcast to each other and see who is present, and a channel can ask for `Change`s of
tables.

Changes are read from Postgres's log by one replication slot per server, which exists only while
somebody is on a channel; where the login role may not replicate, from notes that triggers take
(`notes.py`). Any table of the publication `supabase_realtime` can be watched, and any view over
one such table that shows its primary key; the view's row is computed from the row that was
changed.

Promised: a join with bindings is answered once changes flow, and from then on every committed
change that fits and may be seen arrives, in commit order, once, also when the connection to
Postgres or Postgres itself goes away meanwhile. From notes the order is that of `notes.py`: of a
row's own changes always, of overlapping transactions nearly. Where that cannot be kept (the slot
is lost, a policy raises an error) a `system` message says so and the channel ends with
`phx_error`, so that clients join again and fetch. Who sees a row is decided by the database: it is
selected under the subscriber's role and claims at the time of delivery, so a row that is gone by
then is not told of. A deletion cannot be asked about; with row-level security it shows the primary
key alone. A token that expires ends its channels. To `.stream()` of supabase_flutter, which
selects before it has joined, rows that changed just before the join are told once more.

Private channels are those of Supabase: the policies of `realtime.messages` decide, at the join and
with each new token, who hears and who speaks, and a message that is not allowed is dropped without
a word. A private and a public topic of one name are two. What a transaction says with
`realtime.send` or `realtime.broadcast_changes` reaches its topic on every server once it commits;
such messages stay in their table for `MESSAGE_DAYS_MAX`.

What clients say to each other, and who is present, is known to the server they are connected to
and to no other: with several servers on one database, changes and the database's own broadcasts
reach everybody, clients' broadcasts and presences reach those of the same server.

Everything a client can make grow has a limit in `limits.py`; who reads too slowly is closed. Not
here: broadcasts and presence between servers, replay of messages.
"""

from tintype.realtime.limits import FRAME_BYTES_MAX
from tintype.realtime.server import Realtime, open_realtime

__all__ = ["FRAME_BYTES_MAX", "Realtime", "open_realtime"]
