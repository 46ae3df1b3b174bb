"""How many bytes a deployment may still move over a link that may be metered."""

from __future__ import annotations

from device_agent.faults import FetchError


class ByteBudget:
    """Counts bytes down. One deployment owns it; `spent_bytes` is persisted so that a restart keeps the count."""

    def __init__(self, max_bytes: int, *, spent_bytes: int = 0) -> None:
        self.max_bytes = max_bytes
        self.spent_bytes = spent_bytes

    def spend(self, size_bytes: int) -> None:
        """Counts bytes that came over the link.

        Raises:
            FetchError: the cap is passed; final.
        """
        self.spent_bytes += size_bytes
        if self.spent_bytes > self.max_bytes:
            raise FetchError(
                f"download: got {self.spent_bytes} bytes, expected at most {self.max_bytes} for this deployment",
                code="byte-cap",
                retryable=False,
                hint="raise max_bytes in the rollout's download policy",
            )
