"""What operators watch: requests, latency, queue, batches, lag. Ids and routes only, never people."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client import multiprocess as shared_files
from prometheus_client.core import GaugeMetricFamily, Metric

_LATENCIES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_BATCH_JOBS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counters of one process. Children are bound once a label set: a look-up by labels costs more."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "scim_ledger_requests", "Requests answered", ("route", "method", "status"), registry=self.registry
        )
        self._latency = Histogram(
            "scim_ledger_request_seconds", "Time from receipt to answer", ("route", "method"),
            buckets=_LATENCIES_S, registry=self.registry,
        )  # fmt: skip
        self._batch = Histogram(
            "scim_ledger_batch_jobs", "Jobs in one append call", buckets=_BATCH_JOBS, registry=self.registry
        )
        self._queue = Gauge(
            "scim_ledger_queue_jobs", "Jobs waiting for an append call", registry=self.registry,
            multiprocess_mode="livesum",
        )  # fmt: skip
        self._lag = Gauge(
            "scim_ledger_projection_lag_entries", "Entries that a projection has not read yet", ("projection",),
            registry=self.registry, multiprocess_mode="livemostrecent",
        )  # fmt: skip
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def request(self, route: str, method: str, status: int, elapsed_us: int) -> None:
        """Count an answered request."""
        children = self._children.get((route, method, status))
        if children is None:
            known = method if method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS") else "other"
            children = (self._requests.labels(route, known, str(status)), self._latency.labels(route, known))
            if known == method:
                self._children[route, method, status] = children
        children[0].inc()
        children[1].observe(elapsed_us / 1_000_000)

    def batch(self, jobs: int) -> None:
        """Count an append call."""
        self._batch.observe(jobs)

    def queue(self, waiting: int) -> None:
        """Note how many jobs wait: often, since any worker may be asked for the sum over all."""
        self._queue.set(waiting)

    def page(
        self, lags: dict[str, int], unheard: dict[tuple[int, str], float], shared_folder: str | None
    ) -> bytes:  # fmt: skip
        """Return the metrics page; of all workers where they share files.

        unheard: seconds since the last request of each client, by tenant and token or client id.
        """
        for projection, entries in lags.items():
            self._lag.labels(projection).set(entries)
        return self._counted(shared_folder) + _unheard(unheard)

    def _counted(self, shared_folder: str | None) -> bytes:
        if shared_folder is None:
            return generate_latest(self.registry)
        everybody = CollectorRegistry()
        shared_files.MultiProcessCollector(everybody, path=shared_folder)  # type: ignore[no-untyped-call]
        return generate_latest(everybody)


def _unheard(seconds: dict[tuple[int, str], float]) -> bytes:
    """Not one of the counters: it is asked for each time, and a revoked token's must not stay."""

    class Asked:
        def collect(self) -> Iterator[Metric]:
            told = GaugeMetricFamily(
                "scim_ledger_client_silence_seconds",
                "Time since a client's last request, reads included",
                labels=("tenant_id", "token_id"),
            )
            for (tenant_id, client_id), since in seconds.items():
                told.add_metric((str(tenant_id), client_id), since)
            yield told

    registry = CollectorRegistry()
    registry.register(Asked())
    return generate_latest(registry)
