//! Logs, traces and metrics of the program.

use std::{env, io};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::{
    EnvFilter, filter::LevelFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Logs to stderr and, if `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector, exports traces to it
/// until the provider is shut down. A failed export is logged.
///
/// # Errors
/// If the collector's address is invalid, or a subscriber is already set.
pub fn log() -> anyhow::Result<Option<SdkTracerProvider>> {
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let provider = match env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT") {
        Some(_) => {
            let exporter = SpanExporter::builder().with_http().build()?;
            Some(SdkTracerProvider::builder().with_batch_exporter(exporter).build())
        }
        None => None,
    };
    let traces = provider
        .as_ref()
        .map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("durable")));
    tracing_subscriber::registry()
        .with(filter)
        .with(tracing_subscriber::fmt::layer().with_writer(io::stderr))
        .with(traces)
        .try_init()?;
    Ok(provider)
}

/// Collects all metrics of the process for Prometheus.
///
/// # Errors
/// If a recorder is already set.
pub fn metrics() -> Result<PrometheusHandle, BuildError> {
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
