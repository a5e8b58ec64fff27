//! One thread that starts all children.
//!
//! A child asks the kernel to be killed when its parent dies, and by "parent" Linux means the *thread* that forked it.
//! A test's thread ends with the test; a broker shared by several tests must outlive it. So a thread that lives as long
//! as the process does the forking.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, OnceLock};
use std::thread;

use rustix::process::{Signal, set_parent_process_death_signal};

type Order = (Command, SyncSender<io::Result<Child>>);

/// Starts a child that dies with this process.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    // SAFETY: between fork and exec the closure makes one system call, prctl, which allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from));
    }
    let (answer, answered) = sync_channel(1);
    let orders = orders().lock().expect("nobody panics while handing over an order");
    orders.send((command, answer)).expect("the spawner thread never ends");
    drop(orders);
    answered.recv().expect("the spawner answers every order")
}

fn orders() -> &'static Mutex<Sender<Order>> {
    static ORDERS: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    ORDERS.get_or_init(|| {
        let (sender, receiver) = channel::<Order>();
        thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                for (mut command, answer) in receiver {
                    // A caller that is gone (its test panicked) leaves a child that its `Drop` kills here.
                    drop(answer.send(command.spawn()));
                }
            })
            .expect("the machine allows one more thread");
        Mutex::new(sender)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_outlives_the_thread_that_ordered_it() {
        let mut child = thread::spawn(|| {
            let mut command = Command::new("sleep");
            command.arg("600");
            spawn(command).expect("sleep is everywhere")
        })
        .join()
        .expect("the thread does not panic");
        // The kernel delivers the death signal before the join returns; a wrong implementation shows here.
        assert!(child.try_wait().expect("our own child").is_none());
        child.kill().expect("our own child");
        child.wait().expect("our own child");
    }
}
