//! Calls to the world outside: asked for inside a commit, made after it, answered by a record.
//!
//! A call is state until its answer was read: after a crash, open calls are made again. So the outside sees each call
//! at least once, and the job sees exactly one answer to each.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use super::builder::{Node, Plan};
use super::describe::Shape;
use super::keyed::KeyedStream;
use super::source::{RawRecord, RawSource};
use super::stream::Stream;
use super::transform::Apply;
use crate::codec::{Codec, CodecError};
use crate::operator::{Call, OpResult, Port, Step};
use crate::state::layout::name_id;

/// Takes the answer's bytes, from any thread, once.
pub type CallDone = Box<dyn FnOnce(Vec<u8>) + Send>;

/// Makes calls, given as bytes. Use [`Caller`] for a typed one.
pub trait RawCaller: Send + Sync {
    /// Starts one call and returns at once. A request that cannot be read must be answered too, or it stays open.
    fn call(&self, key: &[u8], request: &[u8], done: CallDone);

    /// What the call may wait for: calls of one lane wait for each other, those of different lanes never do. A lane for each
    /// place outside that may be slow by itself; there should be hundreds, not millions. Default: all are of one lane.
    ///
    /// `AppConfig::calls_in_flight` is the bound of each.
    fn lane(&self, _key: &[u8], _request: &[u8]) -> Vec<u8> {
        Vec::new()
    }
}

type LaneOf<Q> = Box<dyn Fn(&Q) -> Vec<u8> + Send + Sync>;

/// A [`RawCaller`] from a function over typed requests and answers.
pub struct Caller<Q, R, F> {
    function: F,
    lane: Option<LaneOf<Q>>,
    marker: PhantomData<fn(Q) -> R>,
}

impl<Q, R, F> Caller<Q, R, F>
where
    Q: Codec,
    R: Codec,
    F: Fn(Result<Q, CodecError>, Box<dyn FnOnce(R) + Send>) + Send + Sync,
{
    /// Wraps a function that starts one call and returns at once.
    pub fn new(function: F) -> Self {
        Self { function, lane: None, marker: PhantomData }
    }

    /// Sorts calls into lanes by their requests; see [`RawCaller::lane`]. Requests that cannot be read are of one lane.
    pub fn in_lanes(self, lane: impl Fn(&Q) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self { lane: Some(Box::new(lane)), ..self }
    }
}

impl<Q, R, F> RawCaller for Caller<Q, R, F>
where
    Q: Codec,
    R: Codec,
    F: Fn(Result<Q, CodecError>, Box<dyn FnOnce(R) + Send>) + Send + Sync,
{
    fn call(&self, _key: &[u8], request: &[u8], done: CallDone) {
        (self.function)(Q::decode(request), Box::new(move |answer: R| done(answer.to_bytes())));
    }

    fn lane(&self, _key: &[u8], request: &[u8]) -> Vec<u8> {
        let Some(lane) = &self.lane else { return Vec::new() };
        Q::decode(request).map_or_else(|_| Vec::new(), |request| lane(&request))
    }
}

/// One place in a topology that makes calls.
#[derive(Clone)]
pub(crate) struct CallSite {
    pub(crate) caller: Arc<dyn RawCaller>,
    /// The internal topic the answers are written to.
    pub(crate) replies: Arc<str>,
}

/// Calls of one kind: their answers as a stream, and where requests are given in.
///
/// Answers come back to the key that asked, so a loop (ask, wait, ask again) is two lines: merge
/// [`Replies::stream`] into an operator's input, and give its output to [`Replies::ask`].
pub struct Replies<K, R> {
    plan: Rc<RefCell<Plan>>,
    operator: u32,
    name: String,
    stream: KeyedStream<K, R>,
}

impl<K: Codec + Clone + 'static, R: Codec + Clone + 'static> Replies<K, R> {
    pub(super) fn declare(plan: &Rc<RefCell<Plan>>, name: &str, caller: Arc<dyn RawCaller>) -> Self {
        let mut borrowed = plan.borrow_mut();
        let topic = borrowed.internal_topic(name, "replies");
        let operator = name_id(name);
        borrowed.calls.insert(operator, CallSite { caller, replies: Arc::clone(&topic) });
        let node = borrowed.next();
        let read_topic = Arc::clone(&topic);
        borrowed.add(
            Node::new(format!("{name}.replies"), Shape::Replies, Vec::new()).on(Some(&topic)),
            move |assembly| {
                let output: Port<(K, R)> = assembly.port(node);
                assembly.add_source(&read_topic, Rc::new(ReplySource { operator, output }));
            },
        );
        drop(borrowed);
        let stream = KeyedStream { stream: Stream::new(Rc::clone(plan), node) };
        Self { plan: Rc::clone(plan), operator, name: name.to_owned(), stream }
    }

    /// The answers, each once, under the key that asked.
    pub fn stream(&self) -> &KeyedStream<K, R> {
        &self.stream
    }

    /// Makes a call for each request. `id` names it under its key: a second request with the name of an open call
    /// replaces it.
    pub fn ask<Q: Codec + Clone + 'static>(
        self,
        requests: &KeyedStream<K, Q>,
        id: impl Fn(&Q) -> Vec<u8> + Clone + Send + Sync + 'static,
    ) {
        let (upstream, operator) = (requests.stream.node, self.operator);
        self.plan.borrow_mut().add(Node::new(self.name, Shape::Call, vec![upstream]), move |assembly| {
            let id = id.clone();
            let receiver = Apply(move |(key, request): (K, Q), step: &mut Step| {
                step.call(Call { operator, key: key.to_bytes(), id: id(&request), request: request.to_bytes() });
                Ok(())
            });
            assembly.attach::<(K, Q)>(upstream, Rc::new(receiver));
        });
    }
}

/// The value of a record of a replies topic: `id length u32, id, answer`.
pub fn encode_reply(id: &[u8], answer: &[u8]) -> Vec<u8> {
    [&(id.len() as u32).to_be_bytes(), id, answer].concat()
}

fn decode_reply(bytes: &[u8]) -> Result<(&[u8], &[u8]), CodecError> {
    let wrong = || CodecError::new("reply", "too short");
    let length = u32::from_be_bytes(bytes.get(..4).and_then(|b| b.try_into().ok()).ok_or_else(wrong)?) as usize;
    let id = bytes.get(4..4 + length).ok_or_else(wrong)?;
    Ok((id, &bytes[4 + length..]))
}

struct ReplySource<K, R> {
    operator: u32,
    output: Port<(K, R)>,
}

impl<K: Codec + Clone, R: Codec + Clone> RawSource for ReplySource<K, R> {
    fn feed(&self, record: RawRecord<'_>, step: &mut Step) -> OpResult {
        let key = record.key.unwrap_or_default();
        let (id, answer) = decode_reply(record.value.unwrap_or_default())?;
        if step.answered(self.operator, key, id)? {
            self.output.push((K::decode(key)?, R::decode(answer)?), step)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{decode_reply, encode_reply};

    #[test]
    fn written_replies_stay_readable() {
        let written = b"\x00\x00\x00\x05firstyes";
        assert_eq!(encode_reply(b"first", b"yes"), written);
        assert_eq!(decode_reply(written), Ok((&b"first"[..], &b"yes"[..])));
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        for bytes in [&b""[..], b"\x00\x00\x00", b"\x00\x00\x00\x05firs", b"\xff\xff\xff\xff"] {
            assert!(decode_reply(bytes).is_err(), "{bytes:?}");
        }
    }
}
