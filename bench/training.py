"""How many steps a second does the trainer make?

Of FLUX and of SDXL with random weights, so small that a step is mostly what the trainer and its
libraries do around the sums: it says what a change of the trainer costs, and nothing of how long a
real training takes. Without the extra `gpu` nothing is measured, and the report says so.
"""

from importlib.util import find_spec

from bench.process import ask
from bench.rounds import Run

NEEDED = ("torch", "diffusers", "transformers", "peft", "pytest")
BASES = ("flux", "sdxl")


async def measure(run: Run) -> None:
    """Add `training_{flux,sdxl}_tiny_steps_per_s`, or remark why not."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        run.remark(
            f"training: not measured, {missing[0]} is not installed (the extras gpu and test)."
        )
        return
    for _ in range(run.sizes.repeats):
        for base in BASES:
            found = await ask(
                "bench.clients.train",
                {"base": base, "steps": run.sizes.training_steps, "folder": str(run.folder)},
            )
            run.note(
                f"training_{base}_tiny_steps_per_s",
                found["steps_per_s"],
                unit="steps/s",
                what=f"a tiny random {base.upper()} at 64², rank 4, one thread, {found['device']}",
            )
