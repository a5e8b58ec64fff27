//! Administrative requests that the safe crate does not have.
//!
//! Invariant: an [`Answer`] owns its event, and what is read from the event is copied before the answer is dropped; requests
//! copy what they are given, so names need to live through the call only
//! (`tests/log_contract/upkeep.rs: members_are_told_while_they_are_in`,
//! `tests/log_contract/upkeep.rs: a_topic_made_again_has_another_id_that_is_good_for_paths`).

use std::ffi::{CString, c_char};
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;

use super::client::Client;
use super::codes::{
    error_of, own_result_of, rd_kafka_ConfigResource_error, rd_kafka_error_code, rd_kafka_event_error, take_error,
};
use super::conversions::{milliseconds, text_in, text_of};

/// Why a request got no answer: a code, and what librdkafka or the broker said.
pub type AdminError = (RDKafkaErrorCode, String);

/// The longest that librdkafka lets a request take.
const LONGEST: Duration = Duration::from_secs(3600);

/// The event with the result of one request.
struct Answer(*mut sys::rd_kafka_event_t);

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: a live event that only this answer owns.
        unsafe { sys::rd_kafka_event_destroy(self.0) }
    }
}

/// Settings of a group, on their way to the broker.
struct GroupSettings(*mut sys::rd_kafka_ConfigResource_t);

impl GroupSettings {
    fn new(group: &str, settings: &[(&str, String)]) -> Result<Self, AdminError> {
        let group = c_string(group)?;
        let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_GROUP;
        // SAFETY: the name is copied.
        let resource = Self(unsafe { sys::rd_kafka_ConfigResource_new(kind, group.as_ptr()) });
        for (name, value) in settings {
            let (name, value) = (c_string(name)?, c_string(value)?);
            let set = sys::rd_kafka_AlterConfigOpType_t::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET;
            // SAFETY: a live resource, which copies both; the returned error is ours.
            let refused = unsafe {
                take_error(sys::rd_kafka_ConfigResource_add_incremental_config(
                    resource.0,
                    name.as_ptr(),
                    set,
                    value.as_ptr(),
                ))
            };
            if let Some(error) = refused {
                return Err((error.code, error.text));
            }
        }
        Ok(resource)
    }
}

impl Drop for GroupSettings {
    fn drop(&mut self) {
        // SAFETY: a live resource that only this owns.
        unsafe { sys::rd_kafka_ConfigResource_destroy(self.0) }
    }
}

impl Client {
    /// The id of a topic, which another one of the same name does not have; `None` when the cluster does not know the
    /// topic.
    pub fn topic_uuid(&self, topic: &str, timeout: Duration) -> Result<Option<String>, AdminError> {
        let name = c_string(topic)?;
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let answer = self.ask(operation, timeout, |rk, options, queue| {
            let mut names = [name.as_ptr()];
            // SAFETY: one live name; the collection is destroyed once, after the request has copied it.
            unsafe {
                let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
                sys::rd_kafka_DescribeTopics(rk, topics, options, queue);
                sys::rd_kafka_TopicCollection_destroy(topics);
            }
        })?;
        // SAFETY: a live event; the result and what it points to live as long as the answer.
        unsafe {
            let result = sys::rd_kafka_event_DescribeTopics_result(answer.0);
            if result.is_null() {
                return Err(other_kind());
            }
            let mut count = 0;
            let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
            if count == 0 {
                return Ok(None);
            }
            let described = *topics;
            match borrowed_error(sys::rd_kafka_TopicDescription_error(described)) {
                Some((RDKafkaErrorCode::UnknownTopicOrPartition, _)) => Ok(None),
                Some(error) => Err(error),
                None => {
                    Ok(Some(text_of(sys::rd_kafka_Uuid_base64str(sys::rd_kafka_TopicDescription_topic_id(described)))))
                }
            }
        }
    }

    /// The members of a group, of either protocol: instance id, or client id for dynamic members.
    pub fn group_members(&self, group: &str, timeout: Duration) -> Result<Vec<String>, AdminError> {
        let name = c_string(group)?;
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
        let answer = self.ask(operation, timeout, |rk, options, queue| {
            let mut names = [name.as_ptr()];
            // SAFETY: one live name, which the request copies.
            unsafe { sys::rd_kafka_DescribeConsumerGroups(rk, names.as_mut_ptr(), names.len(), options, queue) }
        })?;
        let mut members = Vec::new();
        // SAFETY: a live event; the result and what it points to live as long as the answer, and strings are copied.
        unsafe {
            let result = sys::rd_kafka_event_DescribeConsumerGroups_result(answer.0);
            if result.is_null() {
                return Err(other_kind());
            }
            let mut count = 0;
            let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count);
            for index in 0..count {
                let described = *groups.add(index);
                match borrowed_error(sys::rd_kafka_ConsumerGroupDescription_error(described)) {
                    // Nobody ever joined it.
                    Some((RDKafkaErrorCode::GroupIdNotFound, _)) => continue,
                    Some(error) => return Err(error),
                    None => {}
                }
                for number in 0..sys::rd_kafka_ConsumerGroupDescription_member_count(described) {
                    let member = sys::rd_kafka_ConsumerGroupDescription_member(described, number);
                    let instance = text_of(sys::rd_kafka_MemberDescription_group_instance_id(member));
                    let client = || text_of(sys::rd_kafka_MemberDescription_client_id(member));
                    members.push(if instance.is_empty() { client() } else { instance });
                }
            }
        }
        members.sort();
        Ok(members)
    }

    /// Sets configurations of a consumer group kept on the broker (KIP-848 `GROUP` resource, incremental).
    pub fn alter_group(&self, group: &str, settings: &[(&str, String)], timeout: Duration) -> Result<(), AdminError> {
        let resource = GroupSettings::new(group, settings)?;
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS;
        let answer = self.ask(operation, timeout, |rk, options, queue| {
            let mut resources = [resource.0];
            // SAFETY: one live resource, which the request copies.
            unsafe {
                sys::rd_kafka_IncrementalAlterConfigs(rk, resources.as_mut_ptr(), resources.len(), options, queue);
            }
        })?;
        // SAFETY: a live event; the result and its resources live as long as the answer.
        unsafe {
            let result = sys::rd_kafka_event_IncrementalAlterConfigs_result(answer.0);
            if result.is_null() {
                return Err(other_kind());
            }
            let mut count = 0;
            let resources = sys::rd_kafka_IncrementalAlterConfigs_result_resources(result, &mut count);
            for index in 0..count {
                let altered = *resources.add(index);
                if let Some(code) = error_of(rd_kafka_ConfigResource_error(altered)) {
                    return Err((code, text_of(sys::rd_kafka_ConfigResource_error_string(altered))));
                }
            }
        }
        Ok(())
    }

    /// Makes one request and waits for its answer.
    fn ask(
        &self,
        operation: sys::rd_kafka_admin_op_t,
        timeout: Duration,
        request: impl FnOnce(*mut sys::rd_kafka_t, *const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
    ) -> Result<Answer, AdminError> {
        let timeout = timeout.min(LONGEST);
        // SAFETY: the client is live; options and queue are destroyed once each, after the answer is there or given up.
        let event = unsafe {
            let rk = self.native();
            let options = sys::rd_kafka_AdminOptions_new(rk, operation);
            let mut text = [0 as c_char; 256];
            let set = sys::rd_kafka_AdminOptions_set_request_timeout(
                options,
                milliseconds(timeout),
                text.as_mut_ptr(),
                text.len(),
            );
            if let Err(code) = own_result_of(set) {
                sys::rd_kafka_AdminOptions_destroy(options);
                return Err((code, text_in(&text)));
            }
            let queue = sys::rd_kafka_queue_new(rk);
            request(rk, options, queue);
            // The request's own time-out answers; the queue's is longer so that the answer is always seen.
            let event = sys::rd_kafka_queue_poll(queue, milliseconds(timeout + Duration::from_secs(5)));
            sys::rd_kafka_queue_destroy(queue);
            sys::rd_kafka_AdminOptions_destroy(options);
            event
        };
        if event.is_null() {
            return Err((RDKafkaErrorCode::OperationTimedOut, "no answer in time".to_owned()));
        }
        let answer = Answer(event);
        // SAFETY: a live event.
        unsafe {
            match error_of(rd_kafka_event_error(answer.0)) {
                Some(code) => Err((code, text_of(sys::rd_kafka_event_error_string(answer.0)))),
                None => Ok(answer),
            }
        }
    }
}

fn c_string(name: &str) -> Result<CString, AdminError> {
    CString::new(name).map_err(|_| (RDKafkaErrorCode::InvalidArgument, "a name or value holds a zero byte".to_owned()))
}

fn other_kind() -> AdminError {
    (RDKafkaErrorCode::BadMessage, "an answer of another kind".to_owned())
}

/// # Safety
/// `error` is null or a live error that somebody else owns.
unsafe fn borrowed_error(error: *const sys::rd_kafka_error_t) -> Option<AdminError> {
    // SAFETY: the caller's promise; both functions take null.
    unsafe {
        let code = error_of(rd_kafka_error_code(error))?;
        Some((code, text_of(sys::rd_kafka_error_string(error))))
    }
}
