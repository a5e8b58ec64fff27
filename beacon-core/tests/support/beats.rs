//! Input whose way stays within a task, at a steady pace, and when what came of it was committed.
//!
//! A word is counted by the task that reads it from the input. So a task that is not disturbed counts what is sent to it,
//! whatever becomes of the others.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use beacon_core::log::partition::for_key;
use beacon_core::log::{Appender, Event, Isolation, Log, Record, TopicPartition};

use super::counting::{Counting, PARTITIONS, TIMES, by_word};
use super::{read_all, wait_until};

/// Records of each word: one less, and it is never closed.
const OF_A_WORD: u64 = TIMES - 1;

/// See the module.
pub struct Beats {
    pub job: Counting,
    log: Arc<dyn Log>,
    appender: Box<dyn Appender>,
    sent: Vec<AtomicU64>,
    /// When each output of a task came to who reads committed records.
    came: Mutex<Vec<Vec<Instant>>>,
    has_sent: AtomicBool,
    over: AtomicBool,
}

impl Beats {
    pub fn of(job: Counting, log: Arc<dyn Log>) -> Arc<Self> {
        assert_eq!(job.inputs, PARTITIONS, "each task reads one partition of the input");
        job.make_topics(log.as_ref());
        let appender = log.appender().expect("an appender");
        let sent = (0..PARTITIONS).map(|_| AtomicU64::new(0)).collect();
        let came = Mutex::new(vec![Vec::new(); PARTITIONS as usize]);
        let beats = Arc::new(Self {
            job,
            log,
            appender,
            sent,
            came,
            has_sent: AtomicBool::default(),
            over: AtomicBool::default(),
        });
        std::thread::spawn({
            let beats = Arc::clone(&beats);
            move || beats.listen()
        });
        beats
    }

    /// Notes outputs until it is over.
    fn listen(&self) {
        let mut reader = self.log.reader(Isolation::Committed).expect("a reader");
        let all: Vec<_> = (0..PARTITIONS).map(|task| (TopicPartition::new(self.job.output(), task), 0)).collect();
        reader.assign(&all).expect("assigned");
        while !self.over.load(SeqCst) {
            if let Event::Records(batch) = reader.poll(Duration::from_millis(50)).expect("read") {
                let now = Instant::now();
                let mut came = self.came.lock().expect("no panic under it");
                (0..batch.len()).for_each(|index| came[batch.get(index).partition as usize].push(now));
            }
        }
    }

    /// One record for a task.
    pub fn send(&self, task: u32) {
        let number = self.sent[task as usize].fetch_add(1, SeqCst);
        let words = (0..).map(|word| format!("b{word}"));
        let mut its_words = words.filter(|word| for_key(word.as_bytes(), PARTITIONS) == task);
        let word = its_words.nth((number / OF_A_WORD) as usize).expect("there is no last one");
        let record = Record::new(self.job.input(), number.to_string(), word).to_partition(task);
        self.appender.append_blocking(vec![record]).expect("appended");
    }

    /// One record for each task every so often, until it is stopped.
    pub fn keep_sending(self: &Arc<Self>, pause: Duration) -> JoinHandle<()> {
        let beats = Arc::clone(self);
        std::thread::spawn(move || {
            while !beats.has_sent.load(SeqCst) && !beats.over.load(SeqCst) {
                (0..PARTITIONS).for_each(|task| beats.send(task));
                std::thread::sleep(pause);
            }
        })
    }

    pub fn stop_sending(&self, sender: JoinHandle<()>) {
        self.has_sent.store(true, SeqCst);
        sender.join().expect("sent");
    }

    pub fn sent(&self, task: u32) -> u64 {
        self.sent[task as usize].load(SeqCst)
    }

    /// How much of a task's is committed.
    pub fn came(&self, task: u32) -> u64 {
        self.came.lock().expect("no panic under it")[task as usize].len() as u64
    }

    /// The longest time in which nothing of some of these tasks was committed.
    pub fn longest_gap(&self, tasks: &[u32], from: Instant, to: Instant) -> Duration {
        let came = self.came.lock().expect("no panic under it");
        let gap = |task: &u32| {
            let of_it = came[*task as usize].iter().copied().filter(|at| (from..to).contains(at));
            let edges: Vec<_> = std::iter::once(from).chain(of_it).chain([to]).collect();
            edges.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
        };
        tasks.iter().map(gap).max().unwrap_or_default()
    }

    /// Waits until all that was sent is counted, ends, and checks that each record was counted once.
    pub fn check(&self) {
        wait_until("all that was sent is counted", || (0..PARTITIONS).all(|task| self.came(task) >= self.sent(task)));
        self.end();
        let counted = by_word(read_all(self.log.as_ref(), &self.job.output()));
        for (word, lines) in &counted {
            let wanted: Vec<_> = (1..=lines.len()).map(|count| count.to_string()).collect();
            assert_eq!(*lines, wanted, "counts of {word}");
        }
        let lines = counted.values().map(Vec::len).sum::<usize>() as u64;
        assert_eq!(lines, (0..PARTITIONS).map(|task| self.sent(task)).sum::<u64>());
    }

    /// Ends its threads.
    pub fn end(&self) {
        self.over.store(true, SeqCst);
    }
}
