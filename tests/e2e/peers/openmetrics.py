"""Reads a page of OpenMetrics on standard input as strictly as the specification is, and says what it has of exemplars: a line each,
with the metric, the trace and the span.
"""

import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        if sample.exemplar:
            labels = sample.exemplar.labels
            print(family.name, labels["trace_id"], labels["span_id"])
