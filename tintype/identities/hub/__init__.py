"""The Hub: where an identity's pictures and its adapter are kept for good.

Nouns: a **repository** is one private model repository on the Hugging Face Hub, one for each
identity; a **RepoFile** is one file of it and where its bytes lie here; **Published** says what
the repository holds afterwards.

Verbs: `Hub.publish` makes the repository and commits what its head does not hold, in one commit;
`Hub.remove` deletes it; `Hub.listing` names its files. `slug_of` and `repository_name` make a
name that the Hub takes from a name that a person typed; `write_tree` and `card` write the files
that explain the pictures.

What is promised:

- Everything may be repeated: a publication whose answer was lost commits nothing twice.
- A repository is private, or nothing is sent to it.
- `huggingface_hub` runs in a child process that holds nothing of the server, and that ends with
  its caller, with its time and with the server.
- Every failure is a `ProviderError` whose class says what to do, and no message holds the token.
"""

from tintype.identities.hub.hub import Hub, Published, open_hub
from tintype.identities.hub.naming import repository_name, slug_of
from tintype.identities.hub.tree import ADAPTER_FILE, RepoFile, card, write_tree

__all__ = [
    "ADAPTER_FILE",
    "Hub",
    "Published",
    "RepoFile",
    "card",
    "open_hub",
    "repository_name",
    "slug_of",
    "write_tree",
]
