//! A topology as text and as a picture.

use std::fmt::Write as _;

use super::builder::Node;

/// What kind of operator a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Source,
    Stateless,
    Process,
    Connect,
    Join,
    Table,
    Window,
    Reduce,
    Aggregate,
    /// A named output.
    Output,
    Repartition,
    Broadcast,
    Call,
    Replies,
    Sink,
}

impl Shape {
    fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Stateless => "map",
            Self::Process => "process",
            Self::Connect => "connect",
            Self::Join => "join",
            Self::Table => "table",
            Self::Window => "window",
            Self::Reduce => "reduce",
            Self::Aggregate => "aggregate",
            Self::Output => "output",
            Self::Repartition => "key_by",
            Self::Broadcast => "broadcast",
            Self::Call => "call",
            Self::Replies => "replies",
            Self::Sink => "sink",
        }
    }
}

/// What is needed to draw.
#[derive(Clone, Debug)]
pub(super) struct Drawing {
    application: String,
    nodes: Vec<Node>,
}

impl Drawing {
    pub(super) fn new(application: &str, nodes: &[Node]) -> Self {
        Self { application: application.to_owned(), nodes: nodes.to_vec() }
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!("application {}\n", self.application);
        for node in &self.nodes {
            let _ = write!(text, "  {} `{}`", node.shape.word(), node.name);
            let inputs: Vec<_> = node.inputs.iter().map(|input| format!("`{}`", self.nodes[*input].name)).collect();
            if !inputs.is_empty() {
                let _ = write!(text, " from {}", inputs.join(", "));
            }
            if let Some(topic) = &node.topic {
                let _ = write!(text, " [{topic}]");
            }
            text.push('\n');
        }
        text
    }

    pub(super) fn mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for (id, node) in self.nodes.iter().enumerate() {
            let label = node.name.replace('"', "'");
            let _ = match node.shape {
                Shape::Source | Shape::Sink | Shape::Repartition | Shape::Broadcast | Shape::Replies => {
                    let topic = node.topic.as_deref().unwrap_or_default().replace('"', "'");
                    writeln!(text, "  n{id}[(\"{label}<br/><small>{topic}</small>\")]")
                }
                Shape::Process | Shape::Connect | Shape::Join | Shape::Window | Shape::Reduce | Shape::Aggregate => {
                    writeln!(text, "  n{id}[[\"{label}\"]]")
                }
                Shape::Stateless | Shape::Call | Shape::Table | Shape::Output => writeln!(text, "  n{id}[\"{label}\"]"),
            };
            for input in &node.inputs {
                let _ = writeln!(text, "  n{input} --> n{id}");
            }
        }
        text
    }

    pub(super) fn dot(&self) -> String {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut text = format!("digraph \"{}\" {{\n  rankdir=LR;\n", quoted(&self.application));
        for (id, node) in self.nodes.iter().enumerate() {
            let shape = match node.shape {
                Shape::Source | Shape::Sink | Shape::Repartition | Shape::Broadcast | Shape::Replies => "cylinder",
                Shape::Process | Shape::Connect | Shape::Join | Shape::Reduce | Shape::Aggregate => "component",
                Shape::Stateless | Shape::Call | Shape::Table | Shape::Output => "box",
            };
            let topic = node.topic.as_deref().map_or(String::new(), |topic| format!("\\n{}", quoted(topic)));
            let _ = writeln!(text, "  n{id} [shape={shape}, label=\"{}{topic}\"];", quoted(&node.name));
            for input in &node.inputs {
                let _ = writeln!(text, "  n{input} -> n{id};");
            }
        }
        text.push_str("}\n");
        text
    }
}
