"""How much is measured?"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """What one run measures. Every figure is the median of `repeats` rounds."""

    repeats: int = 3
    # Jobs that one worker process drains, and the longest it may take before it is cut off.
    settle_jobs: int = 20_000
    settle_seconds_max: float = 5.0
    sustained_jobs: int = 200_000
    # Length of one enqueue, one pgbench and one HTTP measurement.
    enqueue_seconds: float = 2.0
    limit_seconds: float = 3.0
    limit_rows: int = 60_000
    http_seconds: float = 5.0
    http_warm_seconds: float = 1.0
    # The two backlogs; turns of `turn_jobs` each at both, per repeat; then jobs drained without
    # refilling.
    shallow_jobs: int = 1_000
    deep_jobs: int = 1_000_000
    turn_jobs: int = 1_000
    turns: int = 30
    drain_jobs: int = 300_000
    # Crowds of subscribers, and the pace of the commits they hear of; then the broadcasts.
    subscribers: tuple[int, ...] = (1, 100, 1_000)
    commits_per_s: float = 20.0
    commits_warm: int = 10
    commits: int = 70
    fanout_sockets: int = 1_000
    fanout_warm_seconds: float = 0.5
    fanout_seconds: float = 2.5
    capture_jobs: int = 40_000
    # Length of one measurement of reads, and the size of the file that goes in and out.
    rest_seconds: float = 2.0
    storage_bytes: int = 256 * 1024 * 1024
    # Jobs on a lane, how long it is popped, and the workers that poll it when it is empty.
    lanes_jobs: int = 100_000
    lanes_seconds: float = 3.0
    lanes_workers: int = 50
    lanes_idle_seconds: float = 20.0
    training_steps: int = 100
    # Pictures of training sets: how many, how wide, how large in the largest request; and how many
    # of the smallest requests at once.
    validation_images: int = 40
    validation_side: int = 4_000
    validation_image_bytes: int = 20 * 1024 * 1024
    validation_requests: int = 40
    # How often a person does each thing in a visit to the editor.
    interaction_takes: int = 5


FULL = Sizes()
# Proves that every part still works, and says nothing about speed.
SMOKE = Sizes(
    repeats=1,
    settle_jobs=300,
    settle_seconds_max=2.0,
    sustained_jobs=600,
    enqueue_seconds=0.2,
    limit_seconds=1.0,
    limit_rows=30_000,
    http_seconds=1.0,
    http_warm_seconds=0.1,
    shallow_jobs=100,
    deep_jobs=2_000,
    turn_jobs=100,
    turns=3,
    drain_jobs=500,
    subscribers=(1, 5, 20),
    commits_per_s=50.0,
    commits_warm=5,
    commits=20,
    fanout_sockets=20,
    fanout_warm_seconds=0.1,
    fanout_seconds=0.3,
    capture_jobs=300,
    rest_seconds=1.0,
    storage_bytes=3_000_000,
    lanes_jobs=4_000,
    lanes_seconds=1.0,
    lanes_workers=5,
    lanes_idle_seconds=2.5,
    training_steps=10,
    validation_images=4,
    validation_side=600,
    validation_image_bytes=400_000,
    validation_requests=4,
    interaction_takes=1,
)
