"""Identities: from a person's pictures to an adapter that draws that person, and back to nothing.

Nouns: an Identity is a row of `trained_identities`, the tree of its pictures, and an adapter; an
ImageSet is the pictures that were found fit, with a Finding for what may disappoint; a Training is
the job that makes the adapter; a Removal is what is left to do when one is deleted.

    receiving/    a request with forty pictures, received without being held
    validating/   are these pictures that can be trained on?
    hub/          private repositories at the Hub
    performing    the server's part of a training: publish, fetch, finish
    removing      everything goes, and a listing proves it

Promised:
- A request that is answered is a committed job. What a refused or broken one stored is removed,
  by plan: the removal is written before the first byte, and called off by the acceptance.
- A training is prepared and finished by steps that may be repeated: one repository, one commit
  with the pictures, one with the adapter, whenever a process is killed.
- Deleting an identity, a model or a user removes rows, objects, uploads and repositories, and ends
  with a listing of all of them that is empty.
"""

from tintype.identities.hub import Hub, open_hub
from tintype.identities.hub.tree import training_config
from tintype.identities.intake import Intake
from tintype.identities.keeping import TREES, Kept, keep, tree_folder, tree_url
from tintype.identities.performing import PREPARE, TRAINING_PARAMS, Trainings
from tintype.identities.reading import Identity, RemovalRow, delete, get, listing, removals
from tintype.identities.receiving import (
    ANSWER_SECONDS_MAX,
    BODY_BYTES_MAX,
    Received,
    TrainIdentity,
    receive,
)
from tintype.identities.removing import Removal, Remover
from tintype.identities.scratch import Scratch
from tintype.identities.validating import Finding, ImageSet, ValidImage, validate

__all__ = [
    "ANSWER_SECONDS_MAX",
    "BODY_BYTES_MAX",
    "PREPARE",
    "TRAINING_PARAMS",
    "TREES",
    "Finding",
    "Hub",
    "Identity",
    "ImageSet",
    "Intake",
    "Kept",
    "Received",
    "Removal",
    "RemovalRow",
    "Remover",
    "Scratch",
    "TrainIdentity",
    "Trainings",
    "ValidImage",
    "delete",
    "get",
    "keep",
    "listing",
    "open_hub",
    "receive",
    "removals",
    "training_config",
    "tree_folder",
    "tree_url",
    "validate",
]
