"""How much may one client ask for, and how long does the server wait?

What a client goes beyond is refused with a reason; nothing here is grown by asking more often.
"""

SOCKETS_MAX = 10_000
FRAME_BYTES_MAX = 1024 * 1024
TOPIC_BYTES_MAX = 255
TOPICS_PER_SOCKET_MAX = 100
JOINS_PER_SECOND_MAX = 100
MESSAGES_PER_SECOND_MAX = 1_000
BINDINGS_PER_CHANNEL_MAX = 100
FILTER_BYTES_MAX = 16 * 1024
FILTER_VALUES_MAX = 100
FILTER_CONDITIONS_MAX = 16

# What waits for a socket that reads slowly. Beyond either it is closed.
QUEUE_BYTES_MAX = 4 * 1024 * 1024
QUEUE_MESSAGES_MAX = 10_000

# Clients beat every 25 s.
SILENCE_SECONDS_MAX = 60
# Clients give a join 10 s.
JOIN_SECONDS_MAX = 9
# How long a join waits for broadcasts of the database that it can do without.
FLOW_SECONDS_MAX = 3
CLOSE_SECONDS_MAX = 1
TICK_SECONDS = 1

PRESENCES_PER_TOPIC_MAX = 1_000
PRESENCE_BYTES_MAX = 16 * 1024
PRESENCE_KEY_BYTES_MAX = 255

POST_BYTES_MAX = 1024 * 1024
POST_MESSAGES_MAX = 1_000

# How long the database's own broadcasts stay in their table.
MESSAGE_DAYS_MAX = 3

# A record beyond this goes out with its small values only, and says so.
RECORD_BYTES_MAX = 1024 * 1024
LARGE_RECORD_VALUE_BYTES_MAX = 64
