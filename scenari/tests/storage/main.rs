//! Object storage for checkpoints: one contract on a folder, a real S3 protocol server, a real OpenStack Swift, Microsoft's emulator
//! of Azure and a stand-in for Google Cloud Storage; the real ones and the emulator behind a proxy that spoils connections, some
//! behind TLS; and jobs that lose their disks.
//!
//! What is not here: Google itself, and an emulator of it, for want of one that knows preconditions.

mod contract;
mod encrypted;
mod faults;
// The chaos uses all of it.
#[allow(dead_code)]
#[path = "../chaos/job/mod.rs"]
mod job;
mod job_trouble;
mod logins;
mod restore;
mod stores;

use contract::on_every_store;

on_every_store!(
    objects_are_read_back_as_they_were_written,
    an_object_is_created_once,
    an_upload_replaces,
    listings_are_whole_sorted_and_by_prefix,
    more_objects_than_a_page_holds_are_listed,
    what_is_missing_is_not_found_and_deleting_it_is_no_error,
    a_large_object_is_streamed,
    a_source_that_lies_about_its_size_leaves_nothing,
    a_sink_that_fails_is_told_apart,
    young_objects_are_young,
);

#[test]
fn of_many_that_create_a_file_at_once_one_does() {
    contract::of_many_that_create_at_once_one_does(stores::On::Folder);
}
