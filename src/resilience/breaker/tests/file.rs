//! What a state file looks like, and which ones are read.

use super::*;
use crate::resilience::key::Key;
use crate::resilience::memory::RememberedKeys;
use crate::resilience::signal::{Scope, Signal};
use crate::resilience::throttle::{Throttle, ThrottleSpec};

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_newer_and_a_foreign_file_are_told_apart() {
    let good = Memory::new(
        std::time::SystemTime::UNIX_EPOCH,
        std::collections::BTreeMap::new(),
    )
    .encode();
    let told = |content: &str| Memory::decode(content.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        told(&good.replace("state 2", "state 3")),
        "its format is version 3, and this sidefuse knows version 2"
    );
    assert_eq!(
        told(&good.replace("state 2", "state 0")),
        "it is no state file of sidefuse"
    );
    for foreign in [
        "",
        "\n",
        "hello",
        "{\"a\": 1}\n",
        "sidefuse state +1\n",
        "sidefuse state \n",
    ] {
        assert_eq!(
            told(foreign),
            "it is no state file of sidefuse",
            "{foreign:?}"
        );
    }
    assert_eq!(
        told("sidefuse state 2\n"),
        "it is damaged: its checksum does not fit"
    );
}

#[test]
fn a_file_whose_first_line_is_broken_still_looks_like_one_of_ours() {
    let wall = std::time::SystemTime::UNIX_EPOCH;
    let good = Memory::new(wall, std::collections::BTreeMap::new()).encode();
    let broken = good.replacen("sidefuse state 2", "\u{0}garbage", 1);
    assert!(Memory::decode(broken.as_bytes()).is_err());
    assert!(Memory::resembles(broken.as_bytes()));
    for foreign in ["", "hello\n", "{\"a\": 1}\n", "x {\"savedAt\":1}"] {
        assert!(!Memory::resembles(foreign.as_bytes()), "{foreign:?}");
    }
}

#[test]
fn the_format_of_the_file_is_as_reviewed() {
    let mut bed = Bed::new(usual());
    bed.calls(4, TIMEOUT);
    let last = bed.admit().unwrap();
    last.finish_as(Sample::failure(Label::Status(503)), bed.now, || {
        Identity::new("test-123", "POST", "/v19.0/1/messages")
    });
    bed.wait(SECOND);
    bed.force(Order::Open {
        until: Some(bed.now + MINUTE),
    });
    let key = Key::of(b"tenant-1");
    let keyed = Keyed::new(spec(usual()), 9, 1, Arc::new(|_, _| {}));
    let strict = [("strict".to_owned(), spec(usual()))];
    let shadows = Shadows::new(&strict, None, bed.now, Arc::new(|_, _| {}));
    let own = Bed::at(usual(), bed.now);
    for _ in 0..5 {
        let permit = keyed.admit(&own.breaker, key, own.now).unwrap();
        shadows.watch(permit, own.now).finish(TIMEOUT, own.now);
    }
    let throttle = Throttle::new(Some(ThrottleSpec::default()), 1, own.now, Box::new(|_| {}));
    let passes = [Scope::Key, Scope::Route].map(|scope| {
        let pass = throttle.admit(Some(key), own.now);
        (scope, pass.unwrap())
    });
    for (scope, pass) in passes {
        let pause = Some(MINUTE);
        let signal = Signal { scope, pause };
        throttle.settle(pass, Outcome::Throttled, Some(signal), own.now);
    }
    let remembered = Remembered {
        breaker: bed.breaker.save(bed.now),
        overridden: Some("0123456789abcdef".to_owned()),
        keyed: Some(RememberedKeys {
            source: "fedcba9876543210".to_owned(),
            breakers: keyed.save(9, bed.now),
        }),
        shadows: shadows.save(bed.now),
        pauses: Some(throttle.save(9, bed.now)),
    };
    let wall = std::time::SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_000_000_123);
    let memory = Memory::new(wall, [("crm".to_owned(), remembered)].into());
    let written = memory.encode();
    insta::assert_snapshot!(written);
    assert_eq!(Memory::decode(written.as_bytes()), Ok(memory));
}

#[test]
fn a_file_of_the_version_before_is_read_for_what_it_knew() {
    let old = concat!(
        "sidefuse state 1\n",
        "fa536a9d74442a8c53f0ec8058c2991e59edef0b34932f7147967848077fb2f1\n",
        r#"{"savedAt":1764000000123,"routes":{"crm":{"breaker":{"state":"open","since":1000,"left":29000,"openings":1,"#,
        r#""ramp":null,"hold":null,"lastFailure":null,"because":null,"transitions":[]},"overridden":null}}}"#,
        "\n"
    );
    let memory = Memory::decode(old.as_bytes()).unwrap();
    let remembered = &memory.routes["crm"];
    let bed = Bed::new(usual());
    let saved = remembered.breaker.as_ref().unwrap();
    bed.breaker.resume(saved, SECOND, &words, bed.now);
    assert_eq!(bed.view().next_probe_at, Some(bed.now + SECOND * 28));
    assert_eq!((&remembered.keyed, &remembered.pauses), (&None, &None));
}
