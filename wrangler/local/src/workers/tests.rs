//! The handling of wrangler, with shell scripts in its place: `node` is the shell, `wrangler.js` a script for it.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use super::*;
use crate::process::members;

fn plan(script: &str) -> (Plan, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    fs::write(path.join("wrangler.sh"), script).unwrap();
    let plan = Plan {
        tools: Tools { node: "/bin/sh".into(), wrangler: path.join("wrangler.sh") },
        producer_config: path.join("producer.toml"),
        consumer_config: path.join("consumer.toml"),
        folder: path,
        port: 1,
        inspector_port: 2,
        deadline: Duration::from_secs(5),
        cancelled: Arc::default(),
    };
    (plan, folder)
}

#[test]
fn missing_tools_say_how_to_get_them() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Tools::find(folder.path()).unwrap_err().to_string().contains("make setup"));
}

#[test]
fn wrangler_that_dies_is_reported_with_its_last_lines() {
    let (plan, _folder) = plan("echo first; echo 'Address already in use' >&2; exit 3");
    let error = plan.run(|| Err("not yet".to_owned())).unwrap_err().to_string();
    assert!(error.contains("exit status: 3") && error.contains("Address already in use"), "{error}");
}

#[test]
fn workers_that_never_answer_are_reported_and_stopped() {
    let (mut plan, _folder) = plan("echo $$ > pid; echo waiting; exec sleep 300");
    plan.deadline = Duration::from_millis(500);
    let error = plan.run(|| Err("connection refused".to_owned())).unwrap_err().to_string();
    assert!(error.contains("connection refused") && error.contains("waiting"), "{error}");
    let pid: i32 = fs::read_to_string(plan.folder.join("pid")).unwrap().trim().parse().unwrap();
    let is_left = fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(!is_left, "process {pid} is left");
}

#[test]
fn workers_stop_as_a_whole() {
    let (plan, _folder) = plan("sleep 300 & sleep 300");
    let workers = plan.run(|| Ok(())).unwrap();
    let group = workers.process_group();
    assert!(!members(group).unwrap().is_empty());
    workers.stop().unwrap();
    assert!(members(group).unwrap().is_empty());
}

#[test]
fn start_can_be_cancelled() {
    let (plan, _folder) = plan("exec sleep 300");
    plan.cancelled.store(true, Ordering::Relaxed);
    assert!(matches!(plan.run(|| Err(String::new())), Err(WorkersError::Cancelled)));
}

#[test]
fn state_is_put_once_and_again_when_it_changes() {
    let (plan, _folder) = plan("echo \"$@\" >> calls; env | grep -c CONFIDENCE_CLIENT_SECRET; true");
    plan.put_state(b"one").unwrap();
    plan.put_state(b"one").unwrap();
    plan.put_state(b"two").unwrap();
    let calls = fs::read_to_string(plan.folder.join("calls")).unwrap();
    assert_eq!(calls.lines().count(), 2);
    assert!(
        calls.lines().all(|call| call.starts_with("kv key put resolver_state --path ") && call.contains(" --local "))
    );
    assert_eq!(fs::read(plan.folder.join("resolver_state.pb")).unwrap(), b"two");
}

#[test]
fn state_that_cannot_be_put_is_tried_again_next_time() {
    let (plan, _folder) = plan("echo broken; exit 1");
    assert!(plan.put_state(b"one").unwrap_err().to_string().contains("broken"));
    assert!(plan.put_state(b"one").is_err());
}

#[test]
fn log_that_grows_too_long_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut writer = fs::File::options().create(true).append(true).open(&log).unwrap();
    io::Write::write_all(&mut writer, &[b'x'; 11]).unwrap();
    keep_bounded(&log, 11).unwrap();
    assert_eq!(fs::metadata(&log).unwrap().len(), 11);
    keep_bounded(&log, 10).unwrap();
    io::Write::write_all(&mut writer, b"new").unwrap();
    assert_eq!(fs::read(&log).unwrap(), b"new");
}
