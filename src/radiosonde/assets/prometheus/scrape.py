"""Scrape configurations: pods by annotation, an agent, a fixed list of servers."""

from __future__ import annotations

SCRAPE = """\
# Scrape configurations for Radiosonde. Take the one that fits into scrape_configs of prometheus.yml.
# Made by: radiosonde assets prometheus
scrape_configs:
  # Servers that serve a page of their own: RADIOSONDE_PROMETHEUS_PORT=9464.
  - job_name: models
    static_configs:
      - targets: ["127.0.0.1:9464"]

  # One agent per host, which serves one page for all workers: radiosonde agent --prometheus-port 9465.
  - job_name: models-agent
    static_configs:
      - targets: ["127.0.0.1:9465"]
"""

KUBERNETES = """\
# Scrape configuration for pods that serve Radiosonde's metrics. Take it into scrape_configs of prometheus.yml.
# Made by: radiosonde assets prometheus
scrape_configs:
  # Pods with the annotations prometheus.io/scrape: "true" and prometheus.io/port.
  - job_name: models-kubernetes
    kubernetes_sd_configs:
      - role: pod
    relabel_configs:
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape]
        action: keep
        regex: "true"
      - source_labels: [__address__, __meta_kubernetes_pod_annotation_prometheus_io_port]
        action: replace
        regex: ([^:]+)(?::\\d+)?;(\\d+)
        replacement: $1:$2
        target_label: __address__
      - source_labels: [__meta_kubernetes_namespace]
        target_label: namespace
      - source_labels: [__meta_kubernetes_pod_name]
        target_label: pod
      - source_labels: [__meta_kubernetes_pod_label_app_kubernetes_io_name]
        regex: (.+)
        target_label: job
"""
