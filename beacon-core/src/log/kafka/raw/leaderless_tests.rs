//! Partitions without a leader, on the cluster that librdkafka plays for tests.

use std::ffi::{CStr, c_char, c_int};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka_sys as sys;

use super::callbacks::NoDeliveries;
use super::client::{Client, ClientKind};
use super::codes::own_result_of;
use super::conversions::text_of;

const TOPIC: &CStr = c"topic";
const PARTITIONS: i32 = 8;

unsafe extern "C" {
    /// `mallopt(3)` of the C library.
    fn mallopt(parameter: c_int, value: c_int) -> c_int;
}

/// Fills what is allocated with the complement of a byte, so that memory that nobody has written is never by chance what it should be.
const M_PERTURB: c_int = -6;
const BYTE: u8 = 1;

/// What librdkafka says of a partition that it has never written down.
static MADE_UP: AtomicBool = AtomicBool::new(false);

unsafe extern "C" fn on_line(_: *const sys::rd_kafka_t, _: c_int, _: *const c_char, line: *const c_char) {
    // SAFETY: librdkafka's text, which lives through the call.
    let line = unsafe { text_of(line) };
    if line.contains(&format!("[{}]", i32::from_ne_bytes([!BYTE; 4]))) {
        MADE_UP.store(true, Ordering::Release);
    }
}

/// librdkafka (2.6.1 to 2.12.1 at least, its issue 5280) counts a leader of -1 and does not write it down, and later reads a partition's
/// number where it has written none. `build.rs` mends that.
#[test]
fn an_answer_that_names_no_leader_for_some_partitions_harms_nobody() {
    // SAFETY: may be called at any time; from then on memory is filled when it is allocated.
    assert_eq!(unsafe { mallopt(M_PERTURB, c_int::from(BYTE)) }, 1);
    let settings = [("group.id", "test"), ("enable.partition.eof", "true")];
    let client = Client::playing(ClientKind::Consumer, 2, &settings, Arc::new(NoDeliveries));
    // SAFETY: live client, and a function.
    unsafe { sys::rd_kafka_set_logger(client.native(), Some(on_line)) };
    // SAFETY: the cluster is the client's, and lives as long.
    let cluster = unsafe { sys::rd_kafka_handle_mock_cluster(client.native()) };
    // SAFETY: a live cluster; names are copied.
    let led_by = |broker| unsafe {
        for partition in 0..PARTITIONS {
            let led = sys::rd_kafka_mock_partition_set_leader(cluster, TOPIC.as_ptr(), partition, broker);
            assert_eq!(own_result_of(led), Ok(()));
        }
    };
    // SAFETY: as above.
    let made = unsafe { sys::rd_kafka_mock_topic_create(cluster, TOPIC.as_ptr(), PARTITIONS, 2) };
    assert_eq!(own_result_of(made), Ok(()));
    led_by(1);
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset("topic", partition, Offset::Beginning).expect("an offset");
    }
    client.assign(Some(&all)).expect("assigned");
    let consume = |time| {
        let until = Instant::now() + time;
        while Instant::now() < until {
            client.consume(&mut Vec::new(), 100, Duration::from_millis(20));
        }
    };
    consume(Duration::from_secs(1));
    for round in 0..3 {
        // The next answer that says who leads these says that nobody does.
        for partition in 1..PARTITIONS {
            // SAFETY: as above.
            let pushed =
                unsafe { sys::rd_kafka_mock_partition_push_leader_response(cluster, TOPIC.as_ptr(), partition, -1, 0) };
            assert_eq!(own_result_of(pushed), Ok(()));
        }
        led_by(2 - round % 2);
        consume(Duration::from_secs(1));
    }
    // SAFETY: as above; memory is left as it is again, for other tests of this process.
    assert_eq!(unsafe { mallopt(M_PERTURB, 0) }, 1);
    assert!(!MADE_UP.load(Ordering::Acquire), "it has acted on memory that nobody wrote");
}
