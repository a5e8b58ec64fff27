//! Partitions in the log's terms and in librdkafka's.

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::topic_partition_list::{Offset as NativeOffset, TopicPartitionList};

use crate::log::{Offset, TopicPartition};

use super::batch::{offset_of, partition_of};
use super::raw::errors_of;

/// A list without offsets.
pub(super) fn list<'a>(partitions: impl Iterator<Item = &'a TopicPartition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, native_partition(partition));
    }
    list
}

/// A list with offsets.
pub(super) fn list_at<'a>(places: impl Iterator<Item = (&'a TopicPartition, Offset)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in places {
        let offset = NativeOffset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
        list.add_partition_offset(&partition.topic, native_partition(partition), offset)
            .expect("an offset that is not negative is always accepted");
    }
    list
}

/// A partition, and what a group has committed for it; `None`: it knows no offset.
type Told = (TopicPartition, Option<Offset>);

/// What an answer says of each partition asked about, in order; or the first one whose offset could not be told.
pub(super) fn committed_in(answer: &TopicPartitionList) -> Result<Vec<Told>, (TopicPartition, Code)> {
    let told = answer.elements().into_iter().zip(errors_of(answer)).map(|(element, error)| {
        let partition = TopicPartition::new(element.topic(), partition_of(element.partition()));
        match (error, element.offset()) {
            (Some(code), _) => Err((partition, code)),
            (None, NativeOffset::Offset(offset)) => Ok((partition, Some(offset_of(offset)))),
            (None, _) => Ok((partition, None)),
        }
    });
    told.collect()
}

/// The number of a partition as librdkafka counts.
pub(super) fn native_partition(partition: &TopicPartition) -> i32 {
    native_number(partition.partition)
}

/// Where a record goes: -1 leaves the choice to the partitioner.
pub(super) fn native_target(partition: Option<u32>) -> i32 {
    partition.map_or(-1, native_number)
}

/// Partition numbers, and counts of them, as librdkafka counts; none is above its range.
pub(super) fn native_number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Partitions as a callback named them.
pub(super) fn owned_names(names: Vec<(String, i32)>) -> Vec<TopicPartition> {
    names.into_iter().map(|(topic, partition)| TopicPartition::new(topic, partition_of(partition))).collect()
}
