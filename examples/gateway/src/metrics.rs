//! The metrics for Prometheus.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Collects all metrics of the process.
pub(crate) fn collect() -> Result<PrometheusHandle, BuildError> {
    // From the duration of a health check, through that of a slow agent, to a night in the queue.
    const SECONDS: [f64; 12] =
        [0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 3600.0, 28_800.0];
    const BYTES: [f64; 6] = [1e3, 1e4, 1e5, 1e6, 4e6, 8e6];
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".into()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_wait_seconds".into()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".into()), &BYTES)?
        .install_recorder()
}

/// Returns the metrics in Prometheus' text format.
pub(crate) fn scrape(metrics: &PrometheusHandle) -> String {
    metrics.run_upkeep();
    metrics.render()
}
