"""`/redis/v1`: lanes in Upstash's REST dialect."""

from tintype.lanes.redis.door import RedisDoor

__all__ = ["RedisDoor"]
