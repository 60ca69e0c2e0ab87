"""`/storage/v1`: buckets and objects as Supabase's clients speak of them."""

from tintype.storage.door.http import routes

__all__ = ["routes"]
