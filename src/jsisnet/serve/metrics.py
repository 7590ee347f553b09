"""Metrics for Prometheus, in a registry of their own."""

from collections.abc import Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from jsisnet.serve.pool import Pool

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper ends of the latency histogram, in seconds."""


class Metrics:
    """Counts of the requests, and the state of the pools."""

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        """Register the metrics of some pools, by the names of their models."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "jsisnet_requests",
            "Requests by status code, and by model if they name one.",
            ["status", "model"],
            registry=self._registry,
        )
        self._latency = Histogram(
            "jsisnet_request_seconds",
            "Time of segmentation requests from their first byte to the last of the response.",
            ["model"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._segmented = Histogram(
            "jsisnet_segmentation_seconds",
            "Time from a photo's bytes to its map.",
            ["model"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_Pools(pools))
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def count(self, status: int, model: str, seconds: float) -> None:
        """Count a request; `model` is empty if it names none that is served."""
        self._requests.labels(str(status), model).inc()
        if model:
            self._latency.labels(model).observe(seconds)

    def observe(self, model: str, seconds: float) -> None:
        """Note the time that the segmentation of a photo took."""
        self._segmented.labels(model).observe(seconds)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _Pools(Collector):
    """The state of the pools when they are asked for."""

    def __init__(self, pools: Mapping[str, Pool]) -> None:
        self._pools = pools

    def collect(self) -> Iterator[Metric]:
        """Yield the state of all pools."""
        gauges = {
            "jsisnet_queue_photos": ("Photos that wait for a worker.", "queued"),
            "jsisnet_busy_photos": ("Photos that workers segment.", "busy"),
            "jsisnet_workers_ready": ("Workers that have loaded their model.", "ready"),
        }
        for name, (text, attribute) in gauges.items():
            family = GaugeMetricFamily(name, text, labels=["model"])
            for model, pool in self._pools.items():
                family.add_metric([model], getattr(pool, attribute))
            yield family
        restarts = CounterMetricFamily(
            "jsisnet_worker_restarts", "Workers that were replaced.", labels=["model"]
        )
        for model, pool in self._pools.items():
            restarts.add_metric([model], pool.restarts)
        yield restarts
