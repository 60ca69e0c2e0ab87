"""Which buckets does a new database have?"""

from tintype.jobs import job_types

UPLOADS = frozenset(("uploads", "model-training-images"))
BUCKETS = frozenset(
    ("generations", "identities", *UPLOADS, *(kind.bucket for kind in job_types().values()))
)
