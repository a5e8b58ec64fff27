//! YAML as a tree with positions, with the meaning that Alertmanager's YAML library gives it.
//!
//! Alertmanager reads with go-yaml v2, which is YAML 1.1: `yes` and `on` are booleans, but only where a boolean is wanted;
//! a text field takes `yes` or `010` as the text that is written. So a scalar stays as written here ([`Node`]), and what
//! it is read as is decided by who asks ([`scalar`]). Aliases and merge keys are resolved by [`load`].
//!
//! Deliberately not here: several documents in a file, tags other than `!!str`, `!!map` and `!!seq`.

pub mod load;
pub mod scalar;

use std::rc::Rc;

use crate::error::Position;

/// One value.
#[derive(Debug)]
pub struct Node {
    /// Where it begins.
    pub position: Position,
    /// What it is.
    pub value: Value,
    /// How many values it and those below it are, aliases counted as often as they are used.
    pub size: usize,
}

/// What a node is.
#[derive(Debug)]
pub enum Value {
    /// A plain `null`, `~` or nothing: like an absent key.
    Null,
    /// A text, a number or a boolean.
    Scalar {
        /// Quotes and escapes removed.
        text: String,
        /// True without quotes, so that it may be a number or a boolean.
        plain: bool,
    },
    /// A list.
    List(Vec<Rc<Node>>),
    /// A mapping, in the order of the file, keys unique.
    Map(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key is.
    pub position: Position,
    /// Its value.
    pub node: Rc<Node>,
}

impl Node {
    /// What it is, for messages; never what it says.
    pub fn describe(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar { plain: false, .. } => "a quoted text",
            Value::Scalar { text, .. } if scalar::boolean(text).is_some() => "a boolean",
            Value::Scalar { text, .. } if scalar::unsigned(text).is_some() => "a number",
            Value::Scalar { .. } => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}
