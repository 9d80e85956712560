//! What the line says of a call whose first attempt was judged by a rule.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::config;
use crate::support::memory::{Script, always, on_stage, silent};

#[test]
fn what_an_attempt_before_the_last_said_of_our_settings_is_not_said_of_the_call() {
    let settings = "attempt_timeout: 1s, retry: {attempts: 2}, classify: [{error: timeout, as: ignored, config_error: true}]";
    let calls = AtomicUsize::new(0);
    let script: Script = Arc::new(move |request| {
        if calls.fetch_add(1, Ordering::Relaxed) == 0 {
            silent()(request)
        } else {
            always(200)(request)
        }
    });
    on_stage(&config(settings), script, async |stage| {
        assert_eq!(stage.get("/r/x").await.status, 200);
        let line = stage.lines().pop().unwrap();
        assert_eq!(line["outcome"], "success", "{line}");
        assert!(line.get("configError").is_none(), "{line}");
    });
}
