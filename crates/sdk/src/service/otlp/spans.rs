//! The exporter of spans: from the SDK's batches, which its own thread makes, to the collector.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message as _;
use std::sync::Arc;
use tokio::runtime::Handle;

use super::client::Client;

/// Sends batches of spans.
#[derive(Debug)]
pub(super) struct OtlpSpans {
    client: Arc<Client>,
    /// The process's runtime: the thread that asks for exports has none.
    runtime: Handle,
    resource: ResourceAttributesWithSchema,
}

impl OtlpSpans {
    /// Must be called in the runtime that is to send.
    pub(super) fn new(client: Client) -> Self {
        let resource = ResourceAttributesWithSchema::default();
        Self { client: Arc::new(client), runtime: Handle::current(), resource }
    }
}

impl SpanExporter for OtlpSpans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let request = Bytes::from(ExportTraceServiceRequest { resource_spans }.encode_to_vec());
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move { client.send(request).await });
        match sending.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(OTelSdkError::InternalFailure(error.to_string())),
            // The runtime has ended before.
            Err(error) => Err(OTelSdkError::InternalFailure(error.to_string())),
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}
