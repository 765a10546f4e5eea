//! The same recipe gives the same weights, however often it is interrupted.

use std::time::Duration;

use super::small_data_set::SmallDataSet;

use crate::support::stderr_of;

/// TERM, killed, and in one go: one result.
#[test]
fn an_interrupted_run_ends_as_an_undisturbed_one() {
    let set = SmallDataSet::new();
    set.recipe(&["checkpoint_minutes = 0.0001"]);
    let undisturbed = set.trained("undisturbed");
    assert_eq!(undisturbed.epochs.len(), 3);

    let mut stopped = 0;
    for attempt in 0.. {
        assert!(attempt < 60, "never done");
        let resume = set.path("disturbed/checkpoint.safetensors").exists();
        let mut child = set.start("disturbed", if resume { &["--resume"] } else { &[] });
        // Later each time, so that it gets on.
        std::thread::sleep(Duration::from_millis(1500 + 400 * attempt));
        let signal = if attempt % 2 == 0 {
            libc::SIGTERM
        } else {
            libc::SIGKILL
        };
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(child.id() as i32, signal) };
        let status = child.wait().unwrap();
        match status.code() {
            Some(0) => break,
            Some(75) => stopped += 1,
            None => {}
            Some(code) => panic!("exit {code}"),
        }
    }
    assert!(stopped > 0, "never stopped by TERM while it worked");
    assert!(
        set.result("disturbed") == undisturbed,
        "the interrupted run has other weights or scores"
    );
}

#[test]
fn another_seed_gives_other_weights_and_more_epochs_go_on() {
    let set = SmallDataSet::new();
    set.recipe(&["epochs = 1"]);
    let first = set.trained("one");
    set.recipe(&["epochs = 1", "seed = 2"]);
    assert!(set.trained("two").weights != first.weights);

    let refused = set.train("one", &["--resume"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr_of(&refused).contains("seed was 1, is 2"),
        "{}",
        stderr_of(&refused)
    );

    set.recipe(&["epochs = 2"]);
    let longer = set.train("one", &["--resume"]);
    assert!(longer.status.success(), "{}", stderr_of(&longer));
    assert_eq!(set.result("one").epochs[0], first.epochs[0]);
    assert_eq!(set.result("one").epochs.len(), 2);
}

#[test]
fn a_folder_with_a_run_is_not_overwritten_and_one_without_cannot_go_on() {
    let set = SmallDataSet::new();
    set.recipe(&["epochs = 1"]);
    let nothing = set.train("run", &["--resume"]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(stderr_of(&nothing).contains("no checkpoint to continue from"));
    std::fs::create_dir(set.path("run")).unwrap();
    std::fs::write(set.path("run/checkpoint.safetensors"), b"anything").unwrap();
    let taken = set.train("run", &[]);
    assert_eq!(taken.status.code(), Some(2));
    assert!(stderr_of(&taken).contains("--resume"));
    let damaged = set.train("run", &["--resume"]);
    assert_eq!(damaged.status.code(), Some(2));
    assert_eq!(stderr_of(&damaged).lines().count(), 1, "{}", stderr_of(&damaged));
}
