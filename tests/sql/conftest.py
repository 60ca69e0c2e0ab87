"""Failures of the shared checks tell their values, as those in tests do."""

import pytest

pytest.register_assert_rewrite("kernel_promises", "support.kernel")
