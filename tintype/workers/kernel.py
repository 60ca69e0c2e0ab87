"""What does every hand need to work?"""

import msgspec

from tintype.config import Config
from tintype.database import Pool
from tintype.providers import Providers
from tintype.storage import Storage


class Kernel(msgspec.Struct, frozen=True):
    """The open parts of one process: its configuration, pool, objects and providers."""

    config: Config
    pool: Pool
    storage: Storage
    providers: Providers
