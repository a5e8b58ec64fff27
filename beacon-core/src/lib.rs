//! Exactly-once stateful stream processing over a log.
//!
//! A small Flink-like operator library whose only transport is a log: Apache Kafka, or an embedded log that needs
//! nothing installed. The one promise: **the state and the outputs of a job are exactly those of reading every input
//! record once, in partition order** — through crashes, zombies, rebalances and lost disks.
//!
//! A host that is silent for a minute, as a job and as its test:
//!
//! ```
//! use std::time::Duration;
//! use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
//! use beacon_core::state::{Registry, Value};
//! use beacon_core::testing::TestDriver;
//! use beacon_core::timer_tags;
//! use beacon_core::topology::{Topic, TopologyBuilder};
//!
//! timer_tags! { enum Deadline { Silence = 1 } }
//!
//! struct SilenceDetector { beats: Value<u64> }
//!
//! impl SilenceDetector {
//!     fn new(state: &mut Registry) -> Self {
//!         Self { beats: state.value("beats") }
//!     }
//! }
//!
//! impl KeyedProcess for SilenceDetector {
//!     type Key = String;
//!     type In = String;
//!     type Out = String;
//!     type Timer = Deadline;
//!
//!     fn on_record(&self, _beat: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
//!         let beats = self.beats.get(ctx)?.unwrap_or(0) + 1;
//!         self.beats.set(ctx, &beats);
//!         ctx.set_timer(Deadline::Silence, ctx.processing_time() + Duration::from_secs(60))
//!     }
//!
//!     fn on_timer(&self, _: Deadline, ctx: &mut Ctx<'_, Self>) -> OpResult {
//!         let beats = self.beats.get(ctx)?.unwrap_or(0);
//!         ctx.emit(format!("{} is silent after {beats} beats", ctx.key()))
//!     }
//! }
//!
//! let (heartbeats, alerts) = (Topic::<String>::new("heartbeats"), Topic::<String>::new("alerts"));
//! let app = TopologyBuilder::new("silence-watch");
//! app.source("heartbeats", &heartbeats)
//!     .key_by("host", |host| host.clone())
//!     .process("silence", SilenceDetector::new)
//!     .sink("alerts", &alerts, |alert| alert.clone().into_bytes());
//! let topology = app.build()?;
//!
//! let mut driver = TestDriver::new(topology, 4);
//! driver.send(&heartbeats, b"web-1", &"web-1".to_owned());
//! driver.advance(Duration::from_secs(59));
//! assert!(driver.output(&alerts).is_empty());
//! driver.crash_and_restore();
//! driver.advance(Duration::from_secs(1));
//! assert_eq!(driver.output(&alerts), ["web-1 is silent after 1 beats"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Learning it
//!
//! Seven examples, in this order. Each is a program that runs on the embedded log in a temporary directory (the last one in
//! simulation), says what it finds, and fails if that is not what it should be: `cargo run --example 01_map`.
//!
//! 1. `01_map` — **streams.** A [`topology::TopologyBuilder`] makes streams of topics. `map`, `filter` and `flat_map` keep
//!    no state; `sink` writes. `build()` tells all mistakes at once, [`topology::Topology::describe`] shows what was built.
//! 2. `02_count` — **keys and state.** `key_by` brings all values of a key to one task, through a topic of the job's
//!    own; `keyed` relies on the key that a topic already has. A [`operator::KeyedProcess`] keeps a
//!    [`state::Value`], [`state::MapState`] or [`state::ListState`] per key, made by its constructor from a
//!    [`state::Registry`]. What is only a fold is a `reduce` or an `aggregate`. Entries that should end by themselves get
//!    a [`state::Ttl`]; values that will change with the program are [`codec::Versioned`].
//! 3. `03_timer` — **time.** Timers are an enum of the operator's, per key: setting one moves it, cancelling clears it. The
//!    type of the deadline says which clock it is on: [`time::ProcessingTime`] or [`time::EventTime`].
//! 4. `04_window` — **windows.** [`topology::Windows`] and [`topology::Sessions`] over event time, by sources that say how
//!    much out of order they are. Late records come out of an output with a name; so may anything: see
//!    [`operator::Output`].
//! 5. `05_join` — **several inputs.** A [`topology::Table`] is joined; two streams are connected into one operator
//!    ([`operator::ConnectedProcess`]); what every task must know is broadcast ([`operator::BroadcastProcess`]). The
//!    world outside is asked by calls whose answers are records ([`topology::Replies`]).
//! 6. `06_restore` — **losing things.** State on disk is a copy of a changelog. With [`runtime::AppConfig::checkpoints`] it
//!    is also kept in object storage or a folder, and a lost disk costs a download and a tail instead of the whole
//!    changelog, which is trimmed. What an operator cannot take is a dead letter, a retry or a stop:
//!    [`operator::OpError`].
//! 7. `07_simulate` — **testing.** [`testing::TestDriver`] runs a job in virtual time, record by record;
//!    [`testing::simulation`] runs several processes of it through every mishap that a seed chooses.
//!
//! # Operating it
//!
//! The engine has no command line and listens nowhere: what a job offers to who runs it is its program's choice, made of
//! these.
//!
//! * **Several processes** share the work by starting with the same application, each with an
//!   [`instance`](runtime::AppConfig::instance) name of its own. [`runtime::Membership`] says whether tasks wait for a
//!   process that will be back or go to the others at once, and [`standbys`](runtime::AppConfig::standbys) keeps copies
//!   warm for that.
//! * **Metrics**, with names and meanings in [`metrics::catalogue`]: [`runtime::App::watch`] reads them at any time,
//!   [`metrics::render`] writes them for Prometheus.
//! * **Restores** under way are told by [`runtime::App::restores`], and how long they will take by
//!   [`runtime::time_left`]; [`runtime::App::stats`] says how many tasks run.
//! * **Tools** are functions over a log and a topology, see [`tools`]: [`tools::lag`](tools::lag()); [`tools::holders`], who keeps readers
//!   from the end; [`tools::checkpoints`] to list, verify and try them; [`tools::reset`](tools::reset()) and
//!   [`tools::rescale`](tools::rescale()), whose plans can be shown first and which refuse an application that is at
//!   work (`tests/embedded/rescale.rs: what_is_at_work_or_unread_is_not_touched`).
//!
//! ```
//! use beacon_core::log::{Log, LogError};
//! use beacon_core::metrics::{Dialect, render};
//! use beacon_core::runtime::{App, time_left};
//!
//! /// What a scraper is answered. Lag is asked of the log, so this waits for it.
//! fn scraped(app: &App, log: &dyn Log) -> Result<String, LogError> {
//!     let watch = app.watch();
//!     let mut samples = watch.samples();
//!     samples.extend(watch.lag(log)?);
//!     Ok(render(&samples, Dialect::OpenMetrics))
//! }
//!
//! /// What somebody at a terminal sees while state comes back.
//! fn shown(app: &App) -> String {
//!     let restores = app.restores();
//!     let each = restores.iter().map(|r| format!("{}: {:?} {} of {}", r.task, r.phase, r.done, r.total));
//!     let left = time_left(&restores).map_or("not known yet".to_owned(), |left| format!("{} s", left.as_secs()));
//!     format!("{}, time left: {left}", each.collect::<Vec<_>>().join(", "))
//! }
//! ```
//!
//! # Features
//!
//! All are on unless `default-features = false` says otherwise. Without any, the crate needs no C and no C++ (`make check`
//! builds it so and looks for what would), and has
//! everything that is not named here: operators, both ways of testing, and [`runtime::App`] with state in memory over
//! [`log::simulated`] or a [`log::Log`] of your own.
//!
//! * `kafka` — `log::kafka`: a log on Apache Kafka, by librdkafka. C, and OpenSSL and zlib of the machine.
//! * `embedded` — `log::embedded`: the log that needs nothing installed. It is kept in RocksDB and turns `rocksdb` on.
//! * `rocksdb` — state on disk, [`runtime::StateLocation::Directory`]. C++, and libclang to build it.
//! * `object-storage` — checkpoints on S3, OpenStack Swift, Google Cloud Storage and Azure, by the URLs of
//!   [`checkpoint::storage`]. Without it they go to a folder or an [`checkpoint::ObjectStore`] of your own. C, for TLS.
//!
//! # What may change
//!
//! By semantic versioning. Settings are made by `new` or `default` and then set field by field, and errors, statuses and
//! reports are matched with a last arm for what is not known yet: they are `#[non_exhaustive]` and will grow. Vocabularies
//! that are complete by their nature, such as the outcomes of a commit, are not, so that the compiler finds who forgets
//! one; nor is what is written out in full by whoever implements or tries a [`log::Log`] or an [`checkpoint::ObjectStore`], or
//! plays a report to a screen of his own (such as [`log::TopicSpec`], [`log::SessionConfig`], [`task::TaskSettings`], [`runtime::RestoreProgress`],
//! [`tools::Holder`]), and the order in a `Rescale`: these grow with a major version only. What is hidden from these pages (`log::model`, `state::layout`, `timer::floors`, `topology::encode_reply`) is
//! there for this crate's tests and may change at any time. What is *stored* stays readable: see the promises.
//!
//! # Promises
//!
//! Each with a test that holds it.
//!
//! * Outputs and state are those of a run in which nothing went wrong, through `kill -9` with the disk kept
//!   (`tests/embedded/kills.rs: outputs_and_state_are_exact_through_kill_9_with_the_disk_kept`) and lost
//!   (`tests/embedded/kills.rs: outputs_and_state_are_exact_through_kill_9_with_the_disk_lost`), and through every
//!   course of crashes, zombies, rebalances, aborted and unknown commits that thousands of seeds choose
//!   (`tests/simulation/main.rs: every_seed_ends_as_a_calm_run_does_first_half`,
//!   `tests/simulation/main.rs: every_seed_ends_as_a_calm_run_does_second_half`).
//! * A commit that is aborted, or whose outcome is unknown, changes nothing twice
//!   (`tests/embedded/faults.rs: aborted_and_unknown_commits_change_nothing`).
//! * Processes share the work, and one that was away loses its tasks without harm
//!   (`tests/embedded/rebalance.rs: two_instances_share_the_work_while_one_comes_and_goes`,
//!   `tests/embedded/rebalance.rs: an_instance_that_was_silent_too_long_loses_its_tasks_and_goes_on`).
//! * Tasks that stay through a rebalance are not opened again, under either protocol of Kafka's groups
//!   (`tests/runtime_kafka.rs: two_instances_share_the_work_while_one_comes_and_goes`); under the newer one they are not asked
//!   back and work on meanwhile (`tests/kafka/staying.rs: tasks_that_stay_commit_before_a_newcomer_has_its_own`,
//!   `tests/kafka/staying.rs: tasks_that_stay_work_on_while_a_rebalance_waits_for_another_member`), under the older one they
//!   wait until every member has answered
//!   (`tests/kafka/staying.rs: under_the_classic_protocol_every_task_waits_for_the_slowest_member`). A broker without the newer
//!   one is fallen back for
//!   (`../scenari/tests/harness/older_broker.rs: an_application_that_prefers_kip_848_falls_back_to_the_classic_protocol`).
//! * What was done when a task is asked back, or when its process stops in good order, is committed first: the next owner
//!   does none of it again (`tests/embedded/handover.rs: a_task_asked_back_is_committed_before_it_goes`,
//!   `tests/embedded/handover.rs: a_stop_commits_what_was_done`), unless the log refuses the commit
//!   (`tests/embedded/faults.rs: a_task_asked_back_is_given_up_even_when_its_last_commit_is_aborted`).
//! * A member that froze cannot commit any more once its partition moved
//!   (`tests/kafka/children.rs: a_frozen_member_whose_partition_moved_is_refused_kip_848`).
//! * A timer fires once, also over a restart (`tests/test_driver.rs: restored_timer_fires_once`); overdue ones wait for
//!   the backlog (`tests/embedded/backlog.rs: overdue_timers_wait_for_the_backlog_of_their_task`), for what is unread in front
//!   of other tasks until the group has made no progress with it for `AppConfig::backlog_patience`
//!   (`tests/embedded/backlog.rs: overdue_timers_wait_no_longer_than_the_patience_for_records_that_nobody_reads`).
//! * A panic of an operator names its record and leaves no half commit
//!   (`tests/embedded/operators.rs: a_panic_names_its_record_and_a_mended_operator_goes_on_exactly`), on Kafka with half of it
//!   written (`tests/kafka/operators.rs: a_panic_within_a_commit_that_is_half_written_leaves_nothing_of_it`), and so does one
//!   that stops (`tests/embedded/operators.rs: an_operator_that_stops_names_its_record_and_a_mended_one_goes_on_exactly`,
//!   `tests/embedded/operators.rs: an_operator_that_stops_at_a_timer_names_it_and_a_mended_one_goes_on_exactly`).
//! * A refused record leaves a dead letter with the reason, the place and the operator, and nothing else
//!   (`tests/operators.rs: a_dead_letter_names_the_operator_the_place_and_the_reason`,
//!   `tests/test_driver.rs: a_refused_record_leaves_only_a_dead_letter`).
//! * Lists and maps answer like plain ones, written or pending
//!   (`tests/state.rs: lists_and_maps_answer_like_plain_ones`); an append costs the same however long the list is
//!   (`tests/state.rs: an_append_writes_one_element_and_the_length`).
//! * An entry with a lifetime is there until its end and never after it
//!   (`tests/state.rs: entries_are_gone_at_their_end_and_not_before`), whatever was swept
//!   (`tests/state.rs: lists_with_lifetimes_answer_like_queues`).
//! * State of an older program is read and upgraded, from its disk
//!   (`tests/embedded/versions.rs: state_on_disk_of_an_older_program_is_read_and_upgraded`) and from the changelog
//!   (`tests/embedded/versions.rs: a_changelog_of_an_older_program_is_read_and_upgraded`); that of a newer one is refused by
//!   name and left as it is
//!   (`tests/embedded/versions.rs: an_older_program_refuses_state_of_a_newer_one_by_name_and_leaves_it_as_it_is`).
//! * What is *stored*, in state, changelogs, checkpoints and internal topics, is read by every later version of this
//!   crate up to the next major one. A job goes on from the topics that any version left
//!   (`tests/stored/main.rs: a_job_goes_on_from_the_topics_of_every_version`) and from its disks
//!   (`tests/stored/main.rs: a_job_goes_on_from_the_disks_of_every_version`), and none of it changes unnoticed
//!   (`tests/stored/main.rs: a_new_run_stores_what_the_last_file_says_to_the_byte`): names' identities
//!   (`src/state/layout.rs: identities_of_names_stay_what_they_are`), spaces
//!   (`src/state/layout.rs: spaces_stay_where_they_are`), entries of keys
//!   (`src/state/layout.rs: keyed_entries_stay_where_they_are`) and of tasks
//!   (`src/state/layout.rs: shared_entries_stay_where_they_are`), lifetimes
//!   (`src/state/expiry.rs: format_of_a_stamp_stays_readable`), timers
//!   (`src/timer/queue_tests.rs: stored_timers_stay_readable`) and where they begin
//!   (`src/timer/floors.rs: stored_floors_stay_readable`), windows
//!   (`src/topology/window_span.rs: stored_windows_stay_readable`), watermarks
//!   (`src/operator/event_time.rs: stored_watermarks_stay_readable`), open calls
//!   (`src/operator/step.rs: stored_calls_stay_readable`) and their answers
//!   (`src/topology/call.rs: written_replies_stay_readable`), chunks of changelogs
//!   (`src/task/changelog.rs: format_1_stays_readable`), how far stores are in them
//!   (`src/task/tests.rs: what_a_store_says_of_its_changelog_stays_readable`), and checkpoints' manifests
//!   (`src/checkpoint/manifest.rs: format_1_stays_readable`).
//! * Named outputs are taken back with their step
//!   (`tests/operators.rs: named_outputs_are_streams_of_their_own_and_taken_back_with_the_step`).
//! * A join says the same with crashes (`tests/operators.rs: what_a_join_says_is_the_same_with_crashes`).
//! * Windows tell what all records, sorted, come to, out of order and through crashes
//!   (`tests/windows/oracle.rs: windows_tell_what_the_oracle_tells`, `tests/windows/oracle.rs: sessions_tell_what_the_oracle_tells`).
//! * Event time is right behind a `key_by` (`tests/windows/oracle.rs: nothing_in_order_is_late_behind_a_rekey`), and idle
//!   partitions do not hold it up (`tests/windows/main.rs: an_idle_partition_holds_nobody_up`), also through kills, on the
//!   embedded log (`tests/embedded/silent.rs: silent_partitions_behind_a_rekey_hold_nobody_up_through_kills`), on Kafka
//!   (`tests/kafka/silent.rs: silent_partitions_behind_a_rekey_hold_nobody_up_through_kills`) and in simulation
//!   (`tests/simulation/silent.rs: silent_partitions_behind_a_rekey_hold_nobody_up_under_any_fault`).
//! * Calls are made at least once, counted once
//!   (`tests/embedded/calls.rs: answers_lost_by_kill_9_are_asked_for_again_and_count_once`), and no more at a time than
//!   the limit (`tests/embedded/calls.rs: no_more_calls_are_under_way_than_the_limit_and_all_are_made`); those that hang
//!   hold up their own lane only (`tests/embedded/calls.rs: calls_that_hang_hold_up_their_own_lane_only`).
//! * Windows of both times, sessions, joins, connected streams, broadcasts, folds, lists, maps, lifetimes, named outputs and dead
//!   letters say through kills and rebalances what they say without, on the embedded log
//!   (`tests/embedded/plant.rs: every_operator_says_through_kills_and_rebalances_what_it_says_without`), on Kafka
//!   (`tests/kafka/plant.rs: every_operator_says_through_kills_and_rebalances_what_it_says_without`), and in simulation
//!   (`tests/simulation/operators.rs: every_operator_says_under_every_fault_what_it_says_without_any`).
//! * A change of the partition count keeps everything
//!   (`tests/embedded/rescale.rs: four_to_eight_and_back_to_four_is_as_if_it_had_never_been`), also where the state is nowhere
//!   but in checkpoints and the changelog after them
//!   (`tests/embedded/rescale.rs: four_to_eight_and_back_works_from_checkpoints_alone`).
//! * A lost disk comes back from a checkpoint and the tail of a trimmed changelog
//!   (`tests/embedded/checkpoints.rs: state_is_exact_after_checkpoint_trim_and_a_lost_disk`), from an older checkpoint when
//!   the newest is damaged (`tests/embedded/checkpoints.rs: damage_of_the_newest_checkpoint_falls_back_along_the_chain`),
//!   through `kill -9` in an upload or a restore
//!   (`tests/embedded/checkpoints.rs: kill_9_in_uploads_and_restores_leaves_state_exact`); without any that bridges the gap
//!   it is refused, with the way out
//!   (`tests/embedded/checkpoints.rs: a_changelog_trimmed_past_every_checkpoint_is_refused_with_the_way_out`).
//! * A checkpoint of a running job sends no file that the one before has
//!   (`tests/embedded/incremental.rs: a_second_checkpoint_of_a_running_job_sends_only_what_is_new`).
//! * A changelog is trimmed only as far as enough valid checkpoints reach back
//!   (`src/checkpoint/tests.rs: the_changelog_is_trimmed_only_when_as_many_as_are_kept_are_valid`), and what a kept one
//!   lists is never cleaned up
//!   (`src/checkpoint/tests.rs: what_is_judged_good_restores_through_crashes_zombies_damage_and_clean_ups`).
//! * State on a disk that is damaged is told from state that is good, and comes back
//!   (`tests/embedded/damage.rs: damaged_state_is_restored_from_the_changelog`,
//!   `tests/embedded/damage.rs: damaged_state_is_restored_from_a_checkpoint_when_the_changelog_was_trimmed`), also when a
//!   running job meets the damage
//!   (`tests/embedded/damage.rs: damage_that_a_running_job_meets_is_restored_and_nothing_is_lost_or_done_twice`).
//! * A restore brings several files at a time
//!   (`tests/embedded/restores.rs: files_of_a_checkpoint_are_downloaded_several_at_a_time`) and goes on after a crash with
//!   what is missing (`tests/embedded/restores.rs: a_restore_that_was_given_up_goes_on_with_what_is_missing`). It waits for
//!   storage that is away (`tests/embedded/storage_trouble.rs: a_restore_waits_for_storage_when_the_changelog_was_trimmed`)
//!   unless the changelog has everything
//!   (`tests/embedded/storage_trouble.rs: a_restore_reads_the_changelog_when_that_is_whole_and_storage_stays_away`).
//! * While one task restores, the others go on: while its files come
//!   (`tests/embedded/checkpoints.rs: one_task_restores_while_the_others_work`,
//!   `tests/kafka/checkpoints.rs: one_task_restores_while_the_others_work`), and while it reads its changelog
//!   (`tests/embedded/checkpoints.rs: one_task_replays_while_the_others_work`,
//!   `tests/kafka/checkpoints.rs: one_task_replays_while_the_others_work`).
//! * Object storage that fails or is away costs no commit
//!   (`tests/embedded/checkpoints.rs: storage_that_fails_costs_no_commit_and_no_state`,
//!   `tests/embedded/checkpoints.rs: storage_that_is_away_stops_nothing`). A full disk loses nothing: when there is room,
//!   work that was not committed is done again, and what was committed is read from the log
//!   (`tests/embedded/full_disk.rs: a_job_whose_disk_is_full_goes_on_when_there_is_room_and_has_lost_nothing`).
//! * Memory stays within the limit of the process's control group, however large the state
//!   (`tests/embedded/memory.rs: a_state_larger_than_the_memory_limit_stays_within_it`,
//!   `tests/kafka/memory.rs: a_state_larger_than_the_memory_limit_stays_within_it_on_kafka`).
//! * What is read again after a crash is as long as the settings of flushes say, however large the state
//!   (`tests/embedded/tails.rs: the_tail_after_kill_9_is_as_long_as_flush_bytes_says_with_any_number_of_keys`,
//!   `tests/embedded/tails.rs: state_that_is_old_enough_is_on_the_disk_however_little_it_is`).
//! * A standby copy makes a takeover read a tail only
//!   (`tests/embedded/rebalance.rs: a_task_with_a_standby_copy_restores_only_a_tail`).
//! * Internal topics keep no more than what is not yet read
//!   (`tests/embedded/trimming.rs: what_was_read_is_trimmed_and_what_was_not_waits`); one that was away while others read on
//!   and trimmed loses nothing (`tests/embedded/trimming.rs: one_that_was_away_while_others_read_on_and_trimmed_joins_again`),
//!   and on Kafka one whose group has not read what is gone ends and says where
//!   (`tests/kafka/gone.rs: an_application_whose_input_is_gone_ends_and_names_the_place`,
//!   `tests/simulation/retention.rs: input_that_was_not_read_is_never_passed_over`).
//! * A seed of simulation is one course of events to the byte
//!   (`tests/simulation/main.rs: one_seed_is_one_course_of_events_to_the_byte`), in every process
//!   (`tests/simulation/replay.rs: one_seed_is_one_course_of_events_in_every_process`), and simulation finds the bugs that engines of this
//!   kind have, such as offsets left out of a timer's commit
//!   (`src/testing/simulation/planted_tests.rs: a_timer_commit_without_offsets_is_found` and its neighbours).
//! * A view reads its own writes (`tests/view.rs: a_view_reads_its_own_writes_and_everything_from_before`), an answer tells
//!   which offsets it reflects (`src/view/tests.rs: reads_see_what_was_waited_for_with_its_offsets`), and its observer hears
//!   each change before anybody who waits (`src/view/tests.rs: the_observer_hears_every_change_before_anybody_who_waits`), over
//!   each of the three logs
//!   (`tests/log_contract/views.rs: a_view_reflects_commits_to_the_offset_and_tells_each_change_once`). Whoever waits for an
//!   offset goes on when it is there (`src/view/progress.rs: a_waiting_thread_goes_on_when_its_offset_is_done_and_not_before`).
//! * A topology describes itself as a stable text (`tests/describe.rs: a_topology_as_text`) and as drawings
//!   (`tests/describe.rs: a_topology_as_mermaid`, `tests/describe.rs: a_topology_as_graphviz`).
//! * Tools tell lag and who holds readers back
//!   (`tests/runtime_kafka.rs: what_an_open_transaction_holds_back_is_lag_and_no_stable_lag`,
//!   `tests/kafka/stable.rs: an_open_transaction_is_named_until_it_is_over`), list, verify and try checkpoints
//!   (`../scenari/tests/incidents/checkpoint_tools.rs: checkpoints_are_listed_verified_and_tried_and_a_reset_worker_knows_the_plan`),
//!   and have an application begin again
//!   (`tests/embedded/rescale.rs: a_reset_application_begins_again_on_every_machine`).
//! * A change of the partition count takes state, timers and unread input along
//!   (`tests/embedded/rescale.rs: four_to_eight_and_back_to_four_is_as_if_it_had_never_been`), and goes on after `kill -9` at any
//!   of its steps (`tests/embedded/rescale_kills.rs: a_rescale_killed_at_any_step_goes_on_when_it_is_called_again`).
//! * A running job tells every metric with its value (`tests/embedded/metrics.rs: every_metric_is_told_with_its_value`), lag
//!   that grows (`tests/embedded/metrics.rs: lag_grows_while_an_operator_stands_still`) and what is left of a restore
//!   (`tests/embedded/metrics.rs: a_restore_tells_what_is_left_and_how_long_it_takes`). What it sets aside, late records and
//!   dead letters, it counts when it has committed them, and not twice
//!   (`tests/embedded/set_aside.rs: late_records_and_dead_letters_are_counted_once_although_their_commit_was_dropped`).
//! * What is measured is what is documented (`src/metrics/exposition.rs: the_documented_table_is_the_catalogue`), under names as
//!   Prometheus asks for them (`src/metrics/exposition.rs: names_have_the_endings_that_prometheus_asks_for`).
//! * The pure core asks no clock, starts no thread and does not sleep
//!   (`tests/layers.rs: pure_modules_neither_wait_nor_look_around`).
//! * The examples run and find what they promise (`tests/examples.rs: example_01_map` and its neighbours).
//!
//! # Where things are
//!
//! [`runtime::App`] runs the same topology over a [`log::Log`]: `log::kafka::KafkaLog` or `log::embedded::EmbeddedLog`.
//!
//! Modules, in the order they may use each other (`tests/layers.rs: no_module_uses_one_above_it`): [`time`], [`metrics`],
//! [`codec`], [`log`] (the contract), [`state`], [`timer`], [`operator`], [`topology`], [`task`], [`checkpoint`] are pure, but
//! for the edges below them that reach a log, a disk or storage; [`runtime`] runs tasks over a log, [`view`] reads compacted
//! topics; [`tools`] look after applications; [`testing`] runs them over memory and virtual time.
#![deny(missing_docs)]

// What the tests of simulation share with tests outside of the crate names it as those do.
#[cfg(test)]
extern crate self as beacon_core;

// Where `clippy::disallowed_methods` is denied, nobody reads a clock, waits, spawns or draws: see `clippy.toml`.

#[deny(clippy::disallowed_methods)]
pub mod checkpoint;
#[deny(clippy::disallowed_methods)]
pub mod codec;
pub mod log;
mod machine;
#[deny(clippy::disallowed_methods)]
pub mod metrics;
#[deny(clippy::disallowed_methods)]
pub mod operator;
mod planted;
#[deny(clippy::disallowed_methods)]
pub mod runtime;
#[deny(clippy::disallowed_methods)]
pub mod state;
#[deny(clippy::disallowed_methods)]
pub mod task;
pub mod testing;
#[deny(clippy::disallowed_methods)]
pub mod time;
#[deny(clippy::disallowed_methods)]
pub mod timer;
pub mod tools;
#[deny(clippy::disallowed_methods)]
pub mod topology;
pub mod view;
