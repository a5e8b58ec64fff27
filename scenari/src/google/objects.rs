//! What the stand-in keeps.

use std::collections::{BTreeMap, HashMap};

use axum::body::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Objects, and uploads under way.
#[derive(Default)]
pub(super) struct Objects {
    objects: BTreeMap<String, Object>,
    /// By their id.
    pub(super) sessions: HashMap<String, Session>,
    /// Uploads in parts, by their id: the object's name and its parts.
    pub(super) parts: HashMap<String, (String, BTreeMap<u32, Bytes>)>,
    pub(super) begun: Vec<(String, Option<u64>)>,
    last: u64,
}

struct Object {
    bytes: Bytes,
    generation: u64,
    updated: Timestamp,
}

/// A resumable upload.
pub(super) struct Session {
    pub(super) name: String,
    pub(super) generation: Option<u64>,
    pub(super) bytes: Vec<u8>,
}

/// The object has another generation than was asked for.
pub(super) struct Unmet;

impl Objects {
    /// A number that nothing else has.
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Whether the object has this generation; 0: it is not there.
    pub(super) fn check(&self, name: &str, generation: Option<u64>) -> Result<(), Unmet> {
        let now = self.objects.get(name).map_or(0, |object| object.generation);
        if generation.is_none_or(|wanted| wanted == now) { Ok(()) } else { Err(Unmet) }
    }

    /// Makes or replaces it, and describes it.
    pub(super) fn put(&mut self, name: &str, bytes: Bytes, generation: Option<u64>) -> Result<Value, Unmet> {
        self.check(name, generation)?;
        let object = Object { bytes, generation: self.next(), updated: Timestamp::now() };
        let described = object.describe(name);
        self.objects.insert(name.to_owned(), object);
        Ok(described)
    }

    pub(super) fn get(&self, name: &str) -> Option<Bytes> {
        self.objects.get(name).map(|object| object.bytes.clone())
    }

    /// Whether it was there.
    pub(super) fn delete(&mut self, name: &str) -> bool {
        self.objects.remove(name).is_some()
    }

    /// The first of those with a prefix after `token`, in pages as Google has them.
    pub(super) fn list(&self, prefix: &str, token: Option<&str>) -> Value {
        const PAGE: usize = 1000;
        let all = self.objects.iter().filter(|(name, _)| name.starts_with(prefix));
        let mut rest = all.skip_while(|(name, _)| token.is_some_and(|token| name.as_str() <= token)).peekable();
        let page: Vec<_> = rest.by_ref().take(PAGE).collect();
        let items: Vec<_> = page.iter().map(|(name, object)| object.describe(name)).collect();
        let mut answer = json!({ "kind": "storage#objects", "items": items });
        if let (Some(_), Some((last, _))) = (rest.peek(), page.last()) {
            answer["nextPageToken"] = last.as_str().into();
        }
        answer
    }
}

impl Object {
    fn describe(&self, name: &str) -> Value {
        json!({
            "kind": "storage#object",
            "name": name,
            "generation": self.generation.to_string(),
            "etag": format!("etag-{}", self.generation),
            "size": self.bytes.len().to_string(),
            "updated": self.updated.to_string(),
        })
    }
}
