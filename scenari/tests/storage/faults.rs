//! Servers that are away, slow, in trouble, or cut off in the middle.

use std::time::Duration;

use beacon_core::checkpoint::{ObjectErrorKind, PutOutcome};
use scenari::proxy::Weather;

use crate::contract::{names, noise, upload};
use crate::stores::{On, patience};

crate::stores::on_servers!(
    a_server_in_trouble_for_a_moment_is_asked_again,
    a_server_that_is_away_is_a_passing_trouble_by_name,
    a_slow_server_is_waited_for,
    a_server_that_never_answers_ends_in_time,
    an_upload_cut_in_the_middle_leaves_nothing,
    an_answer_cut_in_the_middle_is_never_taken_for_whole,
    a_create_whose_answer_was_lost_is_there_once,
);

fn a_server_in_trouble_for_a_moment_is_asked_again(on: On) {
    let stage = on.start();
    for weather in [Weather::Unavailable, Weather::Down] {
        stage.weather().set_for(weather, 2);
        upload(&*stage.store, "a/one", b"x");
        stage.weather().set_for(weather, 2);
        assert_eq!(stage.store.get("a/one").expect("read"), b"x");
        stage.weather().set_for(weather, 2);
        assert_eq!(names(&*stage.store, "a/"), ["a/one"]);
        stage.weather().set_for(weather, 2);
        assert_eq!(stage.store.put_if_absent("a/one", b"y").expect("put"), PutOutcome::Exists);
        stage.weather().set_for(weather, 2);
        stage.store.delete("a/one").expect("deleted");
    }
}

fn a_server_that_is_away_is_a_passing_trouble_by_name(on: On) {
    let stage = on.start();
    upload(&*stage.store, "a/one", b"x");
    for weather in [Weather::Unavailable, Weather::Down] {
        stage.weather().set(weather);
        let errors = [
            stage.store.get("a/one").expect_err("away"),
            stage.store.upload("a/two", &mut &b"x"[..], 1).expect_err("away"),
            stage.store.put_if_absent("a/two", b"x").expect_err("away"),
            stage.store.list("a/").expect_err("away"),
            stage.store.delete("a/one").expect_err("away"),
        ];
        for error in errors {
            assert_eq!(error.kind(), ObjectErrorKind::Retriable, "{weather:?}: {error}");
            assert!(error.to_string().contains(&format!("{}/a/", stage.store.describe())), "{error}");
        }
    }
    stage.weather().set(Weather::Calm);
    assert_eq!(names(&*stage.store, "a/"), ["a/one"]);
}

fn a_slow_server_is_waited_for(on: On) {
    let stage = on.start();
    stage.weather().set(Weather::Slow);
    let bytes = noise(3 << 20, 5);
    upload(&*stage.store, "a/one", &bytes);
    assert!(stage.store.get("a/one").expect("read") == bytes);
}

fn a_server_that_never_answers_ends_in_time(on: On) {
    let mut short = patience();
    short.answer = Duration::from_millis(300);
    short.tries = 2;
    let stage = on.start_with(short);
    stage.weather().set(Weather::Stalled);
    let error = stage.store.list("a/").expect_err("stalled");
    assert_eq!(error.kind(), ObjectErrorKind::Retriable, "{error}");
    let bytes = noise(20 << 20, 5);
    let error = stage.store.upload("a/large", &mut &bytes[..], bytes.len() as u64).expect_err("stalled");
    assert_eq!(error.kind(), ObjectErrorKind::Retriable, "{error}");
}

fn an_upload_cut_in_the_middle_leaves_nothing(on: On) {
    let stage = on.start();
    upload(&*stage.store, "b/login", b"x");
    for size in [1 << 20, 20 << 20] {
        let bytes = noise(size, 9);
        stage.weather().set(Weather::CutRequests(size as u64 / 3));
        let error = stage.store.upload("a/cut", &mut &bytes[..], size as u64).expect_err("cut");
        assert_eq!(error.kind(), ObjectErrorKind::Retriable, "{error}");
        stage.weather().set(Weather::Calm);
        assert_eq!(names(&*stage.store, "a/"), [""; 0]);
        assert_eq!(stage.store.get("a/cut").expect_err("missing").kind(), ObjectErrorKind::NotFound);
    }
}

fn an_answer_cut_in_the_middle_is_never_taken_for_whole(on: On) {
    let stage = on.start();
    let bytes = noise(4 << 20, 11);
    upload(&*stage.store, "a/one", &bytes);
    for connections in [1, u32::MAX] {
        stage.weather().set_for(Weather::CutAnswers(1 << 20), connections);
        let mut read = Vec::new();
        match stage.store.download("a/one", &mut read) {
            // It went on where it was cut.
            Ok(size) => assert!(size == bytes.len() as u64 && read == bytes, "{connections}: it differs"),
            Err(error) => assert_eq!(error.kind(), ObjectErrorKind::Retriable, "{error}"),
        }
    }
    stage.weather().set(Weather::Calm);
    assert!(stage.store.get("a/one").expect("read") == bytes);
}

fn a_create_whose_answer_was_lost_is_there_once(on: On) {
    let stage = on.start();
    upload(&*stage.store, "b/login", b"x");
    stage.weather().set_for(Weather::CutAnswers(0), 1);
    // The first one made it, the second try finds that.
    stage.store.put_if_absent("a/one", b"first").expect("put");
    assert_eq!(stage.store.put_if_absent("a/one", b"second").expect("put"), PutOutcome::Exists);
    assert_eq!(stage.store.get("a/one").expect("read"), b"first");
}
