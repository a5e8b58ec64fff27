//! How fast simulation is: `cargo bench -p beacon-core --no-default-features --bench simulation` (some seconds; `-- --quick`
//! for a look). The job and the faults are those of the engine's own suite, one seed after the other on one thread; a seed that
//! does not end as its calm run ends the benchmark. Columns as those of the bench `state`.

// A part of it is of use to tests only.
#[allow(dead_code)]
#[path = "../tests/simulation/job.rs"]
mod job;

use std::error::Error;
use std::fs;

use beacon_core::testing::simulation::Faults;

fn main() -> Result<(), Box<dyn Error>> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let seeds = if quick { 0..50 } else { 0..1000 };
    let before = cpu()?;
    let summary = job::shop(Faults::all()).seeds(seeds).run().map_err(|failure| failure.to_string())?;
    let seconds = (cpu()? - before) / 1e9;
    println!("what\tours\tyardstick\tunit\ttimes\twanted");
    println!(
        "simulation: steps with every fault, calm runs left out\t{:.0}\t\tsteps/s\t\t",
        summary.steps as f64 / seconds
    );
    println!("simulation: seeds\t{:.1}\t\tseeds/s\t\t", summary.seeds as f64 / seconds);
    println!("simulation: virtual time\t{:.0}\t\ts/s\t\t", summary.time.as_secs_f64() / seconds);
    Ok(())
}

/// Nanoseconds that this thread has run (proc(5), schedstat): all of a simulation runs on the thread that asked for it.
fn cpu() -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("schedstat is empty")?.parse()?)
}
