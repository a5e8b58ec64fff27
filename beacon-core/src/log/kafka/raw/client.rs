//! The handle of a client: how it is made and ends, and what any client can be asked.
//!
//! Invariants:
//!
//! * a [`Client`] outlives everything that points into it: messages hold it through their batch
//!   (`tests/log_contract/reading.rs: a_reader_and_a_session_are_dropped_with_records_not_told_yet`), topic handles belong to
//!   it and are destroyed before it;
//! * what callbacks point to is freed after `rd_kafka_destroy` has returned, when no thread of librdkafka exists any more
//!   (`tests/kafka/appender.rs: a_dropped_appender_has_answered_everything`).

use std::ffi::{CString, c_char, c_int};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::config::NativeClientConfig;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;

use super::callbacks::{Callbacks, DeliverySink, on_delivery, on_error, on_log, on_new_transactional, on_rebalance};
use super::codes::{
    error_at, error_of, own_result_of, rd_kafka_fatal_error, rd_kafka_metadata, rd_kafka_query_watermark_offsets,
    result_of,
};
use super::conversions::{lock, milliseconds, text_in, text_of};
use super::producing::Topic;

/// One librdkafka client, consumer or producer.
pub struct Client {
    ptr: NonNull<sys::rd_kafka_t>,
    /// Handles of topics; their states are what delivery reports lead to, so they are dropped after `rd_kafka_destroy`.
    pub(super) topics: Mutex<Vec<Topic>>,
    /// Where the opaque pointer of the callbacks points: freed with the client, after `rd_kafka_destroy`. No `Box`, which
    /// says when it is moved that nobody else points there.
    pub(super) callbacks: Arc<Callbacks>,
}

// SAFETY: librdkafka documents its client objects as completely thread safe; topics and callbacks are `Send` and `Sync`.
unsafe impl Send for Client {}
// SAFETY: see above.
unsafe impl Sync for Client {}

/// Consumer or producer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    Consumer,
    /// One whose deliveries are told to the thread that polls.
    Producer,
    /// One that writes transactions. Its deliveries are told by librdkafka's own threads, as they come: who waits for the
    /// last one is woken up once, and not for each request.
    TransactionalProducer,
}

impl Client {
    /// Starts a client; `label` names it in log lines.
    pub fn new(
        kind: ClientKind,
        config: NativeClientConfig,
        label: String,
        deliveries: Arc<dyn DeliverySink>,
    ) -> Result<Self, String> {
        let callbacks = Arc::new(Callbacks::new(label, deliveries));
        let native_kind = match kind {
            ClientKind::Consumer => sys::rd_kafka_type_t::RD_KAFKA_CONSUMER,
            ClientKind::Producer | ClientKind::TransactionalProducer => sys::rd_kafka_type_t::RD_KAFKA_PRODUCER,
        };
        let mut text = [0 as c_char; 512];
        // SAFETY: the configuration pointer is valid; `callbacks` is shared, so its address is stable, and lives until
        // after rd_kafka_destroy. On success rd_kafka_new owns the configuration, hence ManuallyDrop; on failure it
        // stays ours and is dropped, and no thread is left that could call back.
        let ptr = unsafe {
            let conf = config.ptr();
            let opaque = Arc::as_ptr(&callbacks).cast_mut().cast();
            sys::rd_kafka_conf_set_opaque(conf, opaque);
            sys::rd_kafka_conf_set_log_cb(conf, Some(on_log));
            sys::rd_kafka_conf_set_error_cb(conf, Some(on_error));
            match kind {
                ClientKind::Consumer => sys::rd_kafka_conf_set_rebalance_cb(conf, Some(on_rebalance)),
                ClientKind::Producer => sys::rd_kafka_conf_set_dr_msg_cb(conf, Some(on_delivery)),
                ClientKind::TransactionalProducer => {
                    // With reports as events a flush waits for the last message instead of serving reports.
                    sys::rd_kafka_conf_set_events(conf, sys::RD_KAFKA_EVENT_DR);
                    let name = c"beacon".as_ptr();
                    let added =
                        sys::rd_kafka_conf_interceptor_add_on_new(conf, name, Some(on_new_transactional), opaque);
                    own_result_of(added).map_err(|code| format!("no deliveries will be told: {code}"))?;
                }
            }
            sys::rd_kafka_new(native_kind, conf, text.as_mut_ptr(), text.len())
        };
        let Some(ptr) = NonNull::new(ptr) else {
            return Err(text_in(&text));
        };
        let _owned_by_client = ManuallyDrop::new(config);
        let client = Self { ptr, topics: Mutex::new(Vec::new()), callbacks };
        if kind == ClientKind::Consumer {
            // SAFETY: a live consumer; redirecting the main queue lets one poll serve errors and records alike.
            let redirected = unsafe { sys::rd_kafka_poll_set_consumer(ptr.as_ptr()) };
            own_result_of(redirected).map_err(|code| format!("a consumer without group.id: {code}"))?;
        }
        Ok(client)
    }

    /// The last global error reported (broker away, login refused), for messages; forgets it.
    pub fn take_last_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        lock(&self.callbacks.last_error).take()
    }

    /// The error that made this client useless, if any.
    pub fn fatal_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        let mut text = [0 as c_char; 512];
        // SAFETY: live client, buffer of the given size.
        let code = unsafe { rd_kafka_fatal_error(self.ptr.as_ptr(), text.as_mut_ptr(), text.len()) };
        error_of(code).map(|code| (code, text_in(&text)))
    }

    /// Ends a producer, as a broker's answer that its numbers of records do not follow each other would.
    #[cfg(test)]
    pub fn meet_fatal_error(&self) {
        // SAFETY: live client, and a text that is copied.
        unsafe {
            rdkafka_sys::rd_kafka_test_fatal_error(
                self.ptr.as_ptr(),
                rdkafka_sys::RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                c"told by a test".as_ptr(),
            )
        };
    }

    /// First offset and end of a partition, the end under the isolation level this client was made with.
    pub fn watermarks(&self, topic: &str, partition: i32, timeout: Duration) -> Result<(i64, i64), RDKafkaErrorCode> {
        let topic = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: live client; the out pointers are valid for the call.
        result_of(unsafe {
            rd_kafka_query_watermark_offsets(
                self.ptr.as_ptr(),
                topic.as_ptr(),
                partition,
                &mut low,
                &mut high,
                milliseconds(timeout),
            )
        })?;
        Ok((low, high))
    }

    /// What the cluster says of all topics, or of one, which this never creates on a consumer.
    pub fn metadata(&self, topic: Option<&str>, timeout: Duration) -> Result<Vec<TopicMetadata>, RDKafkaErrorCode> {
        let topic = topic.map(|name| self.topic(name)).transpose()?;
        let only = topic.map_or(ptr::null_mut(), |topic| topic.native());
        let mut metadata = ptr::null();
        // SAFETY: live client; on success `metadata` is a result that is ours, destroyed once after it was copied,
        // with `topic_cnt` topics of `partition_cnt` partitions each.
        unsafe {
            result_of(rd_kafka_metadata(
                self.ptr.as_ptr(),
                c_int::from(only.is_null()),
                only,
                &mut metadata,
                milliseconds(timeout),
            ))?;
            let count = usize::try_from((*metadata).topic_cnt).unwrap_or(0);
            let topics = (0..count)
                .map(|index| &*(*metadata).topics.add(index))
                .map(|topic| TopicMetadata {
                    name: text_of(topic.topic),
                    error: error_at(&raw const topic.err),
                    leaders: (0..usize::try_from(topic.partition_cnt).unwrap_or(0))
                        .map(|index| (*topic.partitions.add(index)).leader >= 0)
                        .collect(),
                })
                .collect();
            sys::rd_kafka_metadata_destroy(metadata);
            Ok(topics)
        }
    }

    /// For the other modules of the unsafe layer; valid as long as the client.
    pub(super) fn native(&self) -> *mut sys::rd_kafka_t {
        self.ptr.as_ptr()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.callbacks.closing.store(true, Ordering::Release);
        // SAFETY: the last use of everything below. Topics go before the client, as librdkafka demands;
        // messages cannot exist any more since each batch holds the client.
        unsafe {
            for topic in lock(&self.topics).iter() {
                sys::rd_kafka_topic_destroy(topic.native());
            }
            sys::rd_kafka_destroy(self.ptr.as_ptr());
        }
    }
}

/// One topic as the cluster describes it.
#[derive(Debug)]
pub struct TopicMetadata {
    pub name: String,
    /// Why it cannot be described.
    pub error: Option<RDKafkaErrorCode>,
    /// For each partition whether a leader takes writes.
    pub leaders: Vec<bool>,
}

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka_sys::RDKafkaRespErr;

    use super::super::callbacks::NoDeliveries;
    use super::*;

    const LIST_OFFSETS: i16 = 2;

    /// A consumer of the cluster that librdkafka plays for tests.
    fn consumer() -> Client {
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", "1").set("group.id", "test");
        let config = config.create_native_config().expect("settings of librdkafka");
        Client::new(ClientKind::Consumer, config, "test".to_owned(), Arc::new(NoDeliveries)).expect("a client")
    }

    /// What a consumer hears when its broker answers each question for offsets with this code.
    fn answer_of(code: c_int) -> Result<(i64, i64), RDKafkaErrorCode> {
        let client = consumer();
        // More than one call asks for: it may ask twice, and again.
        let codes = [code; 100];
        // SAFETY: the cluster is the client's; name and codes are copied, the codes as the numbers that they are in C.
        unsafe {
            let cluster = sys::rd_kafka_handle_mock_cluster(client.native());
            assert!(!cluster.is_null());
            let made = sys::rd_kafka_mock_topic_create(cluster, c"topic".as_ptr(), 1, 1);
            assert_eq!(own_result_of(made), Ok(()));
            let errors = codes.as_ptr().cast::<RDKafkaRespErr>();
            sys::rd_kafka_mock_push_request_errors_array(cluster, LIST_OFFSETS, codes.len(), errors);
        }
        client.watermarks("topic", 0, Duration::from_secs(60))
    }

    #[test]
    fn a_broker_may_answer_what_librdkafka_has_no_name_for() {
        // `INCONSISTENT_TOPIC_ID`, `TRANSACTION_ABORTABLE`, and one that no Kafka has yet.
        for code in [103, 120, 999] {
            assert_eq!(answer_of(code), Err(RDKafkaErrorCode::Unknown), "{code}");
        }
        let refused = RDKafkaErrorCode::TopicAuthorizationFailed;
        assert_eq!(answer_of(refused as c_int), Err(refused));
        assert_eq!(answer_of(0), Ok((0, 0)));
    }

    #[test]
    fn a_consumer_that_could_not_be_polled_is_not_made() {
        let config = ClientConfig::new().create_native_config().expect("no settings");
        let made = Client::new(ClientKind::Consumer, config, "test".to_owned(), Arc::new(NoDeliveries));
        assert!(made.err().expect("refused").contains("group.id"));
    }
}
