//! Which group protocol a session speaks, and why: a pure decision over what the broker answered.

use rdkafka::error::RDKafkaErrorCode as Code;

use super::config::GroupProtocol;
use crate::log::LogErrorKind;

/// A protocol as librdkafka's `group.protocol` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// KIP-848, partitions move one by one.
    Consumer,
    /// Before KIP-848, every rebalance stops all members.
    Classic,
}

/// Why a protocol was chosen; logged once per session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The configuration names it.
    Configured,
    /// Under KIP-848 a broker refuses a static member that comes back after `kill -9` until its ghost's session has
    /// expired (`UNRELEASED_INSTANCE_ID`, Kafka 4.1); the classic protocol lets it replace its ghost at once.
    StaticMember,
    /// The broker took the group's session time-out.
    TimeoutAccepted,
    /// The broker refused the group's session time-out: it is below the broker's floor (45 s by default), this client
    /// may not change it, or the broker knows no such setting. Classic members choose their own.
    TimeoutRefused,
    /// The broker does not speak KIP-848.
    Unsupported,
}

/// What is known before the broker is asked: the answer, or that asking is needed.
pub(super) fn decide_at_first(wanted: GroupProtocol, static_member: bool) -> Option<(Protocol, Reason)> {
    match (wanted, static_member) {
        (GroupProtocol::Consumer, _) => Some((Protocol::Consumer, Reason::Configured)),
        (GroupProtocol::Classic, _) => Some((Protocol::Classic, Reason::Configured)),
        (GroupProtocol::Auto, true) => Some((Protocol::Classic, Reason::StaticMember)),
        (GroupProtocol::Auto, false) => None,
    }
}

/// The choice once the broker did not take the session time-out as a setting of the group, for this kind of reason. `None`:
/// that was no refusal, and it has to be asked again, since a group's members must not guess differently.
pub(super) fn decide_by_refusal(kind: LogErrorKind) -> Option<(Protocol, Reason)> {
    (kind != LogErrorKind::Retriable).then_some((Protocol::Classic, Reason::TimeoutRefused))
}

/// What to do about an error that ended a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterFatal {
    /// Join again with the classic protocol: the broker does not speak the other one.
    FallBack,
    /// Join again in a while: the ghost of this static member has not expired yet.
    WaitForGhost,
    /// Tell the caller.
    Report,
}

/// Decides about an error that ended a consumer speaking `protocol`.
pub(super) fn after_fatal(wanted: GroupProtocol, protocol: Protocol, code: Code) -> AfterFatal {
    match code {
        Code::UnsupportedVersion | Code::UnsupportedFeature
            if protocol == Protocol::Consumer && wanted == GroupProtocol::Auto =>
        {
            AfterFatal::FallBack
        }
        Code::UnreleasedInstanceId => AfterFatal::WaitForGhost,
        _ => AfterFatal::Report,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_member_speaks_classic_unless_told_otherwise() {
        assert_eq!(decide_at_first(GroupProtocol::Auto, true), Some((Protocol::Classic, Reason::StaticMember)));
        assert_eq!(decide_at_first(GroupProtocol::Consumer, true), Some((Protocol::Consumer, Reason::Configured)));
    }

    #[test]
    fn a_dynamic_member_speaks_what_honours_its_session_timeout() {
        assert_eq!(decide_at_first(GroupProtocol::Auto, false), None);
        let refused = Some((Protocol::Classic, Reason::TimeoutRefused));
        assert_eq!(decide_by_refusal(LogErrorKind::Configuration), refused);
        assert_eq!(decide_by_refusal(LogErrorKind::Retriable), None, "no answer is no refusal");
    }

    #[test]
    fn an_old_broker_is_spoken_to_in_classic_only_if_that_is_allowed() {
        let code = Code::UnsupportedVersion;
        assert_eq!(after_fatal(GroupProtocol::Auto, Protocol::Consumer, code), AfterFatal::FallBack);
        assert_eq!(after_fatal(GroupProtocol::Consumer, Protocol::Consumer, code), AfterFatal::Report);
        assert_eq!(after_fatal(GroupProtocol::Auto, Protocol::Classic, code), AfterFatal::Report);
    }
}
