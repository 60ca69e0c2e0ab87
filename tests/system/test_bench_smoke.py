"""The bench still runs from end to end. What it measures here means nothing."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SECONDS_MAX = 280
PEERS = ("procrastinate", "pgqueuer")
PROMISED = (
    "settle_ratio_vs_best_python_peer",
    "claim_rate_1m_over_1k",
    "submit_http_p99_ms_at_16",
    "submit_http_per_s",
    "pgbench_claim_one_tx_per_s",
    "tintype_settle_per_s",
    "tintype_settle_each_per_s",
    "tintype_settle_sustained_per_s",
    "procrastinate_settle_default_per_s",
    "procrastinate_settle_fast_per_s",
    "pgqueuer_settle_default_per_s",
    "pgqueuer_settle_fast500_per_s",
    "tintype_enqueue_16_per_s",
    "tintype_enqueue_16_p50_ms",
    "tintype_enqueue_16_p99_ms",
    "tintype_enqueue_128_per_s",
    "tintype_enqueue_batch_per_s",
    "procrastinate_enqueue_16_per_s",
    "procrastinate_enqueue_batch_per_s",
    "pgqueuer_enqueue_16_per_s",
    "pgqueuer_enqueue_batch_per_s",
    "tintype_drain_from_1m_per_s",
    "submit_http_per_s_at_16",
    "submit_http_p99_ms_at_64",
    "submit_http_worker_on_per_s_at_64",
)


def bench(repository: Path, url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=repository,
        env=os.environ | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )


@pytest.mark.timeout(300)
@pytest.mark.skipif(
    not all(map(find_spec, PEERS)), reason="procrastinate and pgqueuer are in the extra `bench`"
)
def test_a_tiny_bench_measures_everything_it_promises(
    repository: Path, postgres_url: str, tmp_path: Path
) -> None:
    out = tmp_path / "smoke.json"
    ran = bench(repository, postgres_url, "--smoke", "--out", str(out))
    assert ran.returncode == 0, ran.stderr
    found = json.loads(out.read_text())
    assert [name for name in PROMISED if not found[name] > 0] == []
    assert found["goals"].keys() == set(PROMISED[:4])
    assert found["repeats"] == 1
    for figure in found["figures"].values():
        assert figure["lowest"] <= figure["median"] <= figure["highest"]
    assert found["machine"]["postgres"].keys() >= {"version", "fsync", "synchronous_commit"}
    assert found["machine"].keys() >= {"cpu_count", "date", "packages", "durable_writes_per_s"}
    assert "settle_ratio_vs_best_python_peer" in ran.stdout
    assert list(tmp_path.iterdir()) == [out]


def test_the_bench_names_its_sections_when_one_is_unknown(repository: Path) -> None:
    ran = bench(repository, "postgresql://nobody@127.0.0.1:1/none", "--only", "speed")
    assert ran.returncode == 2
    assert "there is no section speed" in ran.stderr
    assert "backlog" in ran.stderr
