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

/// How a node is drawn.
enum Form {
    Topic,
    Stateful,
    Plain,
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

    fn form(self) -> Form {
        match self {
            Self::Source | Self::Sink | Self::Repartition | Self::Broadcast | Self::Replies => Form::Topic,
            Self::Process | Self::Connect | Self::Join | Self::Window | Self::Reduce | Self::Aggregate => {
                Form::Stateful
            }
            Self::Stateless | Self::Call | Self::Table | Self::Output => Form::Plain,
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
            if let Some(detail) = &node.detail {
                let _ = write!(text, " ({detail})");
            }
            if let Some(topic) = &node.topic {
                let _ = write!(text, " [{topic}]");
            }
            text.push('\n');
        }
        text
    }

    /// What is said below a node's name.
    fn remark(node: &Node) -> Option<String> {
        match node.shape.form() {
            Form::Topic => node.topic.as_ref().map(ToString::to_string),
            Form::Stateful => Some(match &node.detail {
                Some(detail) => format!("{}, {detail}", node.shape.word()),
                None => node.shape.word().to_owned(),
            }),
            Form::Plain => None,
        }
    }

    /// The name of the output that an edge into this node is.
    fn output<'a>(&self, node: &'a Node) -> Option<&'a str> {
        let operator = &self.nodes[*node.inputs.first()?].name;
        node.name.strip_prefix(operator.as_str())?.strip_prefix('.').filter(|_| node.shape == Shape::Output)
    }

    pub(super) fn mermaid(&self) -> String {
        let clean = |text: &str| text.replace('"', "'");
        let mut text = String::from("flowchart LR\n");
        for (id, node) in self.nodes.iter().enumerate() {
            let remark = Self::remark(node).map(|remark| format!("<br/><small>{}</small>", clean(&remark)));
            let label = clean(&node.name) + remark.as_deref().unwrap_or_default();
            let _ = match node.shape.form() {
                Form::Topic => writeln!(text, "  n{id}[(\"{label}\")]"),
                Form::Stateful => writeln!(text, "  n{id}[[\"{label}\"]]"),
                Form::Plain => writeln!(text, "  n{id}[\"{label}\"]"),
            };
            for input in &node.inputs {
                let _ = match self.output(node) {
                    Some(output) => writeln!(text, "  n{input} -. \"{}\" .-> n{id}", clean(output)),
                    None => writeln!(text, "  n{input} --> n{id}"),
                };
            }
        }
        text
    }

    pub(super) fn dot(&self) -> String {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut text = format!("digraph \"{}\" {{\n  rankdir=LR;\n", quoted(&self.application));
        for (id, node) in self.nodes.iter().enumerate() {
            let remark = Self::remark(node).map(|remark| format!("\\n{}", quoted(&remark)));
            let label = quoted(&node.name) + remark.as_deref().unwrap_or_default();
            let shape = match node.shape.form() {
                Form::Topic => "cylinder",
                Form::Stateful => "component",
                Form::Plain => "box",
            };
            let _ = writeln!(text, "  n{id} [shape={shape}, label=\"{label}\"];");
            for input in &node.inputs {
                let _ = match self.output(node) {
                    Some(output) => {
                        writeln!(text, "  n{input} -> n{id} [style=dashed, label=\"{}\"];", quoted(output))
                    }
                    None => writeln!(text, "  n{input} -> n{id};"),
                };
            }
        }
        text.push_str("}\n");
        text
    }
}
