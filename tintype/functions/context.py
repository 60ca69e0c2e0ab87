"""What can a function reach of the server it runs in?"""

import msgspec

from tintype.auth import KeySet
from tintype.config import Config
from tintype.database import Pool
from tintype.functions.rate import Rate
from tintype.functions.submission import Submitter
from tintype.identities import Intake
from tintype.jobs import Waiting
from tintype.providers import Providers
from tintype.storage import Storage
from tintype.workers import Kernel, Worker


class Context(msgspec.Struct, frozen=True):
    """The server's own parts. `worker` also serves calls when it does not claim by itself;
    `publishing` waits for trainings to be prepared."""

    kernel: Kernel
    keys: KeySet
    submitter: Submitter
    waiting: Waiting
    publishing: Waiting
    intake: Intake
    worker: Worker
    rate: Rate

    @property
    def config(self) -> Config:
        """What the operator chose."""
        return self.kernel.config

    @property
    def pool(self) -> Pool:
        """The kernel's pool."""
        return self.kernel.pool

    @property
    def storage(self) -> Storage:
        """Objects."""
        return self.kernel.storage

    @property
    def providers(self) -> Providers:
        """Models and the services behind them."""
        return self.kernel.providers
