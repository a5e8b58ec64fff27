//! `beacon app describe`.

use beacon_proto::topics::Topics;
use clap::ValueEnum;

use super::Application;

/// Flags of `beacon app describe`.
#[derive(Debug, clap::Args)]
pub struct DescribeArguments {
    /// Which application.
    application: Application,
    /// The form: text for a person, a Mermaid flowchart for a page, dot for Graphviz.
    #[arg(long, value_name = "FORM", default_value = "text")]
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Mermaid,
    Dot,
}

pub fn run(topics: &Topics, arguments: &DescribeArguments) -> anyhow::Result<()> {
    let topology = arguments.application.topology(topics)?;
    let text = match arguments.form {
        Form::Text => topology.describe(),
        Form::Mermaid => topology.mermaid(),
        Form::Dot => topology.dot(),
    };
    print!("{text}");
    Ok(())
}
