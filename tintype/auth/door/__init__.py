"""The routes of `/auth/v1`: what GoTrue's clients send, and what they need back."""

from tintype.auth.door.http import routes

__all__ = ["routes"]
