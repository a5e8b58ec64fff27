//! The table for a person at a terminal.

use super::{Results, figure};

/// One line a measure, under the headings of the parts.
pub fn table(results: &Results) -> String {
    let mut text = format!("\n{}\n", heading(results));
    let mut section = "";
    for measure in &results.measures {
        if measure.section != section {
            section = measure.section;
            text.push_str(&format!("\n{section}\n"));
        }
        let yardstick = measure.yardstick.as_ref();
        let beside = yardstick.map_or(String::new(), |other| format!("{} {}", other.name, figure(other.value)));
        let ratio = measure.ratio.map_or(String::new(), |ratio| format!("{ratio:.2}x"));
        let aim = measure.aim.map_or(String::new(), |verdict| {
            let (aim, outcome) = verdict.text();
            format!("{aim} {outcome}")
        });
        let (what, value, unit) = (&measure.what, figure(measure.beacon), measure.unit);
        let line = format!("  {what:58} {value:>10} {unit:18} {beside:28} {ratio:>8}  {aim}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str("\nA ratio above 1 is better than the yardstick of the same run.\n");
    text
}

/// Machine, date, versions and load in some lines.
fn heading(results: &Results) -> String {
    let machine = &results.machine;
    let versions: Vec<String> = machine.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let load: Vec<String> = results.load.iter().map(|(part, load)| format!("{part} {load:.1}")).collect();
    format!(
        "{}, {}: {} cores of {}, {} GB, {}, Linux {}\n{}\nload average at the start of: {}",
        machine.date,
        machine.profile,
        machine.cores,
        machine.processor,
        machine.memory_gib,
        machine.system,
        machine.kernel,
        versions.join(", "),
        load.join(", "),
    )
}
