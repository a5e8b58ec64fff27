//! What tests ask of the cluster that librdkafka plays for a client (`test.mock.num.brokers`).

use std::ffi::CStr;
use std::sync::Arc;

use rdkafka::ClientConfig;
use rdkafka_sys as sys;

use super::callbacks::DeliverySink;
use super::client::{Client, ClientKind};
use super::codes::own_result_of;
use super::conversions::text_of;

/// `Produce` in Kafka's protocol guide.
const PRODUCE: i16 = 0;

impl Client {
    /// A client that plays a cluster of so many brokers, with these settings.
    pub fn playing(
        kind: ClientKind,
        brokers: u32,
        settings: &[(&str, &str)],
        deliveries: Arc<dyn DeliverySink>,
    ) -> Self {
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", brokers.to_string());
        for (name, value) in settings {
            config.set(*name, *value);
        }
        let config = config.create_native_config().expect("settings of librdkafka");
        Self::new(kind, config, "test".to_owned(), deliveries).expect("a client")
    }

    /// Where other clients find the brokers.
    pub fn played_brokers(&self) -> String {
        // SAFETY: a live cluster; the text lives as long, and is copied.
        unsafe { text_of(sys::rd_kafka_mock_cluster_bootstraps(self.played())) }
    }

    /// Makes a topic of one partition; see [`Client::play_leader`].
    pub fn play_topic(&self, topic: &CStr, leader: i32) {
        // SAFETY: a live cluster, which copies the name.
        let made = unsafe { sys::rd_kafka_mock_topic_create(self.played(), topic.as_ptr(), 1, 1) };
        assert_eq!(own_result_of(made), Ok(()));
        self.play_leader(topic, leader);
    }

    /// Who leads the topic's partition: the broker's number, or -1 for nobody.
    pub fn play_leader(&self, topic: &CStr, leader: i32) {
        // SAFETY: a live cluster, which copies the name.
        let led = unsafe { sys::rd_kafka_mock_partition_set_leader(self.played(), topic.as_ptr(), 0, leader) };
        assert_eq!(own_result_of(led), Ok(()));
    }

    /// Has the next request with records refused: the transaction fails, and another one may not.
    pub fn play_refusal(&self) {
        let codes = [sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS];
        // SAFETY: a live cluster, which copies the codes.
        unsafe { sys::rd_kafka_mock_push_request_errors_array(self.played(), PRODUCE, codes.len(), codes.as_ptr()) };
    }

    fn played(&self) -> *mut sys::rd_kafka_mock_cluster_t {
        // SAFETY: a live client, as long as which its cluster lives.
        let cluster = unsafe { sys::rd_kafka_handle_mock_cluster(self.native()) };
        assert!(!cluster.is_null(), "nobody plays a cluster for this client");
        cluster
    }
}
