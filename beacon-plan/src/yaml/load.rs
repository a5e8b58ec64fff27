//! From text to the tree: one document, aliases and merge keys resolved.
//!
//! Aliases share their target, so a tree of aliases costs nothing here; what reading it would cost is counted, and more
//! than [`MAX_SIZE`] values are refused, so that a few lines of nested aliases cannot stall a reload.

use std::collections::HashMap;
use std::rc::Rc;

use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use super::{Entry, Node, Value, scalar};
use crate::error::{Fault, PlanError, Position};

/// The most values a configuration may have, aliases counted as often as they are used.
pub const MAX_SIZE: usize = 200_000;

/// Reads one document. `None`: there is nothing in it.
///
/// # Errors
/// When it is not YAML, has several documents, repeats a key, or uses a tag, an alias or a merge that is not taken.
pub fn load(text: &str) -> Result<Option<Rc<Node>>, PlanError> {
    let mut loader = Loader { parser: Parser::new_from_str(text), anchors: HashMap::new() };
    let mut document = None;
    while let Some((event, span)) = loader.next()? {
        match event {
            Event::DocumentStart(..) if document.is_some() => {
                return Err(refuse(
                    position(&span.start),
                    "a second document begins here, and Alertmanager would ignore it; put everything into one",
                ));
            }
            Event::StreamStart | Event::StreamEnd | Event::DocumentStart(..) | Event::DocumentEnd => {}
            event => document = Some(loader.node(event, &span)?),
        }
    }
    Ok(document.filter(|node| !matches!(node.value, Value::Null)))
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line(), column: marker.col() + 1 }
}

fn refuse(position: Position, message: impl Into<String>) -> PlanError {
    PlanError { position, path: String::new(), fault: Fault::Yaml, message: message.into() }
}

fn malformed(error: &ScanError) -> PlanError {
    let hint = "check the indentation, and quote texts that have : # { [ or a tab in them";
    refuse(position(error.marker()), format!("this is not YAML: {}; {hint}", error.info()))
}

struct Loader<'t> {
    parser: Parser<'t, serde_saphyr::granit_parser::StrInput<'t>>,
    anchors: HashMap<usize, Rc<Node>>,
}

impl<'t> Loader<'t> {
    /// The next event that is not a comment.
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, PlanError> {
        loop {
            match self.parser.next_event() {
                None => return Ok(None),
                Some(Err(error)) => return Err(malformed(&error)),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(next)) => return Ok(Some(next)),
            }
        }
    }

    fn node(&mut self, event: Event<'t>, span: &Span) -> Result<Rc<Node>, PlanError> {
        let at = position(&span.start);
        let anchor = event.anchor_id();
        let is_text = match event.tag() {
            None => false,
            Some(tag) => match tag.core_suffix() {
                Some("str") => true,
                Some("map" | "seq") => false,
                _ => return Err(refuse(at, format!("the tag {} is not taken; remove it", tag.original()))),
            },
        };
        let (value, below) = match event {
            Event::Alias(id) => {
                let target = self
                    .anchors
                    .get(&id)
                    .ok_or_else(|| refuse(at, "this alias is part of what it stands for; write the value out"))?;
                return Ok(Rc::clone(target));
            }
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain && !is_text;
                if plain && scalar::is_null(&text) {
                    (Value::Null, 0)
                } else {
                    (Value::Scalar { text: text.into_owned(), plain }, 0)
                }
            }
            Event::SequenceStart(..) => self.list()?,
            Event::MappingStart(..) => self.map()?,
            other => return Err(refuse(at, format!("a value is expected here, not {other:?}"))),
        };
        let node = Rc::new(Node { position: at, value, size: below + 1 });
        if node.size > MAX_SIZE {
            return Err(refuse(at, format!("aliases make this more than {MAX_SIZE} values; use fewer of them")));
        }
        if let Some(id) = anchor {
            self.anchors.insert(id, Rc::clone(&node));
        }
        Ok(node)
    }

    fn inner(&mut self) -> Result<(Event<'t>, Span), PlanError> {
        self.next()?.ok_or_else(|| refuse(Position { line: 1, column: 1 }, "this is not YAML: it ends within a value"))
    }

    fn list(&mut self) -> Result<(Value, usize), PlanError> {
        let (mut items, mut size) = (Vec::new(), 0usize);
        loop {
            match self.inner()? {
                (Event::SequenceEnd, _) => return Ok((Value::List(items), size)),
                (event, span) => {
                    let node = self.node(event, &span)?;
                    size = size.saturating_add(node.size);
                    items.push(node);
                }
            }
        }
    }

    fn map(&mut self) -> Result<(Value, usize), PlanError> {
        let (mut entries, mut merged): (Vec<Entry>, Vec<Entry>) = (Vec::new(), Vec::new());
        loop {
            let (event, span) = self.inner()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let at = position(&span.start);
            let key = self.node(event, &span)?;
            let (event, span) = self.inner()?;
            let node = self.node(event, &span)?;
            match &key.value {
                Value::Scalar { text, plain: true } if text == "<<" => merge(&node, &mut merged)?,
                Value::Scalar { text, .. } => {
                    if let Some(earlier) = entries.iter().find(|entry| entry.key == *text) {
                        let message =
                            format!("the key `{text}` is already set at {}; keep one of the two", earlier.position);
                        return Err(refuse(at, message));
                    }
                    entries.push(Entry { key: text.clone(), position: at, node });
                }
                _ => return Err(refuse(at, format!("a key must be a text, not {}", key.describe()))),
            }
        }
        for entry in merged {
            if !entries.iter().any(|own| own.key == entry.key) {
                entries.push(entry);
            }
        }
        let size = entries.iter().fold(0usize, |size, entry| size.saturating_add(entry.node.size));
        Ok((Value::Map(entries), size))
    }
}

/// Adds what `<<: node` brings. Keys of the mapping itself go first, then earlier mappings of a list.
fn merge(node: &Rc<Node>, into: &mut Vec<Entry>) -> Result<(), PlanError> {
    match &node.value {
        Value::Map(entries) => {
            into.extend(entries.iter().cloned());
            Ok(())
        }
        Value::List(items) => items.iter().try_for_each(|item| match &item.value {
            Value::Map(entries) => {
                into.extend(entries.iter().cloned());
                Ok(())
            }
            _ => Err(refuse(item.position, "`<<` merges mappings only")),
        }),
        _ => Err(refuse(node.position, "`<<` merges a mapping or a list of mappings")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(node: &Node) -> String {
        match &node.value {
            Value::Null => "~".into(),
            Value::Scalar { text, plain } => {
                if *plain {
                    text.clone()
                } else {
                    format!("{text:?}")
                }
            }
            Value::List(items) => format!("[{}]", items.iter().map(|n| show(n)).collect::<Vec<_>>().join(",")),
            Value::Map(entries) => {
                format!(
                    "{{{}}}",
                    entries.iter().map(|e| format!("{}:{}", e.key, show(&e.node))).collect::<Vec<_>>().join(",")
                )
            }
        }
    }

    fn read(text: &str) -> String {
        load(text).unwrap_or_else(|e| panic!("{text}: {e}")).map_or("nothing".into(), |node| show(&node))
    }

    #[test]
    fn trees_are_read() {
        for (text, tree) in [
            ("", "nothing"),
            ("# only a comment\n---\n", "nothing"),
            ("~", "nothing"),
            ("a: 1 # one\nb: ['2', \"x\\ty\", ~, ]\nc:\n", "{a:1,b:[\"2\",\"x\\ty\",~],c:~}"),
            ("a: yes\n? b\n: |\n  two\n  lines\n", "{a:yes,b:\"two\\nlines\\n\"}"),
            ("a: !!str 1\n", "{a:\"1\"}"),
            ("a: &x {b: 1}\nc: *x\n", "{a:{b:1},c:{b:1}}"),
            ("a: &x {b: 1, d: 2}\nc: {<<: *x, b: 3}\n", "{a:{b:1,d:2},c:{b:3,d:2}}"),
            ("a: &x {b: 1}\ne: &y {b: 2, f: 3}\nc: {<<: [*x, *y]}\n", "{a:{b:1},e:{b:2,f:3},c:{b:1,f:3}}"),
        ] {
            assert_eq!(read(text), tree, "{text}");
        }
    }

    #[test]
    fn positions_count_from_one() {
        let node = load("a:\n  - ü: x\n").expect("yaml").expect("something");
        let Value::Map(entries) = &node.value else { panic!("a mapping") };
        let Value::List(items) = &entries[0].node.value else { panic!("a list") };
        let Value::Map(inner) = &items[0].value else { panic!("a mapping") };
        assert_eq!((inner[0].position.to_string(), inner[0].node.position.to_string()), ("2:5".into(), "2:8".into()));
    }

    #[test]
    fn what_is_not_taken_is_refused_where_it_is() {
        for (text, message) in [
            ("a: 1\na: 2\n", "2:1: the key `a` is already set at 1:1"),
            ("a: 1\n---\nb: 2\n", "a second document begins here"),
            ("a: !!binary eA==\n", "the tag !!binary is not taken"),
            ("a: *x\n", "this is not YAML"),
            ("a: {\n", "this is not YAML"),
            ("a: b: c\n", "1:5: this is not YAML"),
            ("a:\n\tb: c\n", "this is not YAML"),
            ("[a]: b\n", "1:1: a key must be a text, not a list"),
            ("a: {<<: b}\n", "`<<` merges a mapping"),
            ("a: &x [*x]\n", "this alias is part of what it stands for"),
        ] {
            let error = load(text).map(|_| ()).expect_err(text).to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn nested_aliases_are_bounded() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..20 {
            let alias = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 8].join(", ")));
        }
        assert!(load(&text).map(|_| ()).expect_err("too many").to_string().contains("use fewer of them"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a-b:{}\\[\\],&*!<'\"|>~# \\n\\t-]{0,40}") {
            let _ = load(&text);
        }
    }
}
