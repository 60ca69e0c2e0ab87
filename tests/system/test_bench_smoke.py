"""The bench still runs from end to end. What it measures here means nothing."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

SECONDS_MAX = 580
PEERS = ("procrastinate", "pgqueuer")
JOBS = (
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
DOORS = (
    "capture_settle_rate_on_over_off",
    "capture_enqueue_rate_on_over_off",
    "rest_read_over_bare_p50_ms",
    "realtime_p50_ms_at_1",
    "realtime_p99_ms_at_1",
    "realtime_commit_p50_ms",
    "realtime_shared_p99_ms_at_20",
    "realtime_own_p50_ms_at_5",
    "realtime_own_p99_ms_at_20",
    "realtime_filtered_p99_ms_at_20",
    "realtime_fanout_per_s",
    "bare_websockets_fanout_per_s",
    "realtime_fanout_ratio_vs_bare",
    "capture_settle_off_per_s",
    "capture_settle_elsewhere_per_s",
    "capture_settle_all_per_s",
    "capture_enqueue_rate_elsewhere_over_off",
    "rest_read_per_s_at_16",
    "rest_read_per_s_at_64",
    "rest_read_p99_ms_at_64",
    "bare_read_p50_ms_at_1",
    "storage_upload_mb_per_s",
    "storage_upload_form_mb_per_s",
    "storage_download_mb_per_s",
    "starlette_upload_mb_per_s",
    "starlette_download_mb_per_s",
)

LANES = ("rpop_per_s_at_1", "rpop_p99_ms_at_1", "rpop_per_s_at_8", "rpop_p99_ms_at_8")
VALIDATION = ("validation_images_per_s", "validation_largest_mb_per_s")


def bench(repository: Path, url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "bench", *arguments],
        cwd=repository,
        env=os.environ | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
    )


def measured(repository: Path, url: str, folder: Path, sections: str) -> dict[str, Any]:
    """Return what a tiny bench of these sections found; all of it hangs together."""
    out = folder / "smoke.json"
    ran = bench(repository, url, "--smoke", "--only", sections, "--out", str(out))
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(out.read_text())
    assert found["repeats"] == 1
    assert {figure["section"] for figure in found["figures"].values()} == set(sections.split(","))
    for name, figure in found["figures"].items():
        assert figure["lowest"] <= figure["median"] <= figure["highest"]
        assert name in ran.stdout
    for goal in found["goals"]:
        assert goal in ran.stdout
    assert found["machine"]["postgres"].keys() >= {"version", "fsync", "synchronous_commit"}
    assert found["machine"].keys() >= {"cpu_count", "date", "packages", "durable_writes_per_s"}
    assert list(folder.iterdir()) == [out]
    return found


@pytest.mark.timeout(600)
@pytest.mark.skipif(
    not all(map(find_spec, PEERS)), reason="procrastinate and pgqueuer are in the extra `bench`"
)
def test_a_tiny_bench_measures_everything_it_promises_of_jobs(
    repository: Path, postgres_url: str, tmp_path: Path
) -> None:
    found = measured(repository, postgres_url, tmp_path, "limit,settle,enqueue,backlog,http")
    assert [name for name in JOBS if not found[name] > 0] == []
    assert found["goals"].keys() == set(JOBS[:4])


@pytest.mark.timeout(600)
def test_a_tiny_bench_measures_everything_it_promises_of_the_doors(
    repository: Path, postgres_url: str, tmp_path: Path
) -> None:
    found = measured(repository, postgres_url, tmp_path, "realtime,capture,rest,storage")
    assert [name for name in DOORS if not found[name] > 0] == []
    assert found["goals"].keys() - {"storage_memory_growth_mb"} == set(DOORS[:3])
    # Every change was heard, or there would be no figures at all.
    assert found["capture_settle_all_late_ms"] >= 0
    # nginx is measured where it is installed; where it is not, the report says so.
    told = " ".join(found["remarks"])
    assert ("nginx_download_mb_per_s" in found) == ("is the peer of storage" in told)
    assert ("nginx_download_mb_per_s" in found) != ("nginx is not installed" in told)


@pytest.mark.timeout(600)
def test_a_tiny_bench_measures_everything_it_promises_of_lanes(
    repository: Path, postgres_url: str, tmp_path: Path
) -> None:
    found = measured(repository, postgres_url, tmp_path, "lanes")
    assert [name for name in LANES if not found[name] > 0] == []
    assert "rpop_p99_ms_at_1" in found["goals"]


@pytest.mark.timeout(600)
def test_a_tiny_bench_measures_everything_it_promises_of_readiness(
    repository: Path, postgres_url: str, tmp_path: Path
) -> None:
    assert measured(repository, postgres_url, tmp_path, "readiness")["readiness_seconds"] > 0


@pytest.mark.timeout(600)
def test_a_tiny_bench_measures_everything_it_promises_of_validation(
    repository: Path, postgres_url: str, tmp_path: Path
) -> None:
    found = measured(repository, postgres_url, tmp_path, "validation")
    assert [name for name in VALIDATION if not found[name] > 0] == []
    for name in ("largest", "smallest"):
        assert found["goals"][f"validation_{name}_memory_growth_mb"]
        assert found[f"validation_{name}_children_peak_mb"] > 0


def test_the_bench_names_its_sections_when_one_is_unknown(repository: Path) -> None:
    ran = bench(repository, "postgresql://nobody@127.0.0.1:1/none", "--only", "speed")
    assert ran.returncode == 2
    assert "there is no section speed" in ran.stderr
    assert "backlog" in ran.stderr
