"""What Prometheus is told: how many requests, how long, which rules refused, and how applicable the version was. Nothing of a patient, a center or a caller."""

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


def _counter(name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, registry=None)


@dataclass
class Counters:
    """Of one service."""

    requests: Counter = field(default_factory=lambda: _counter("penumbra_requests", "Requests by page, what was sent, and status.", "page", "sent", "status"))
    refusals: Counter = field(default_factory=lambda: _counter("penumbra_refusals", "Requests that were refused, by rule.", "rule"))
    applicability: Counter = field(default_factory=lambda: _counter("penumbra_answers", "Answered patients, by applicability of the version.", "applicability"))
    groups: Counter = field(default_factory=lambda: _counter("penumbra_risk_groups", "Answered patients, by risk group.", "risk_group"))
    seconds: Histogram = field(
        default_factory=lambda: Histogram("penumbra_request_seconds", "Time of a request.", ("page", "sent"), buckets=SECONDS, registry=None)
    )
    served: Gauge = field(default_factory=lambda: Gauge("penumbra_model_version", "Number of the version that answers, by model.", ("model",), registry=None))
    ready: Gauge = field(default_factory=lambda: Gauge("penumbra_ready", "1 once the service is warm.", registry=None))

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        collected = CollectorRegistry()
        for metric in (self.requests, self.refusals, self.applicability, self.groups, self.seconds, self.served, self.ready):
            collected.register(metric)
        return generate_latest(collected)
