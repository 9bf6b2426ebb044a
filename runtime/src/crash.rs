//! Named places where a test kills the process, so that "correct when killed at any line" is tested
//! and not claimed. Without the feature `failpoints` a place costs nothing.

/// Every place, in the order an attempt passes them.
pub const PLACES: [&str; 15] = [
    "accept-before-durable",
    "accept-after-durable",
    "attempt-start",
    "after-cut",
    "after-fetch",
    "after-render",
    "after-guard",
    "after-tree",
    "after-month-push",
    "after-prepare",
    "before-push",
    "after-push",
    "before-adopt",
    "after-adopt",
    "after-cursor",
];

/// Places on the way of a notice.
pub const NOTICE_PLACES: [&str; 3] = ["notice-stored", "notice-before-send", "notice-sent"];

/// Places of bringing in history, beside those of an attempt.
pub const BACKFILL_PLACES: [&str; 2] = ["backfill-told", "backfill-done"];

/// Places of a poller's look.
pub const POLL_PLACES: [&str; 2] = ["poll-kept", "poll-told"];

/// Places of a comparison with the source.
pub const RECONCILE_PLACES: [&str; 1] = ["after-compared"];

/// Places of keeping runs that a branch of a month does not take, beside those of an attempt.
pub const MONTH_PLACES: [&str; 1] = ["after-owed"];

/// Places of telling anew what the source does not show yet, beside those of an attempt.
pub const AWAITED_PLACES: [&str; 1] = ["after-told-anew"];

/// Environment variable that names a place, and after a colon which passing of it kills (first: 1).
pub const VARIABLE: &str = "KBC_MIRROR_CRASH";

/// Environment variable that names an object, such as `keboola.ex-shop/orders`, over which the process dies; after a
/// colon, a text that only some of its versions have.
pub const FATAL_OBJECT: &str = "KBC_MIRROR_FATAL_OBJECT";

/// The same of an object over which the renderer does not end.
pub const ENDLESS_OBJECT: &str = "KBC_MIRROR_ENDLESS_OBJECT";

/// Where a test has armed the object, the process aborts, as when it is out of memory over it, or the renderer goes on and on.
pub fn in_work(object: &mirror_core::layout::SourceObject, renderer: &mirror_sandbox::LayoutRenderer) {
    #[cfg(feature = "failpoints")]
    {
        let is_armed = |variable| {
            let armed = std::env::var(variable).unwrap_or_default();
            let (name, text) = armed.split_once(':').unwrap_or((&armed, ""));
            object.key.to_string() == name && object.source.contains(text)
        };
        if is_armed(FATAL_OBJECT) {
            std::process::abort();
        }
        if is_armed(ENDLESS_OBJECT) {
            renderer.endless();
        }
    }
    #[cfg(not(feature = "failpoints"))]
    let _ = (object, renderer);
}

/// Passes a place; where a test has armed it, the process is killed here with SIGKILL.
#[macro_export]
macro_rules! crash_point {
    ($place:literal) => {
        ::fail::fail_point!($place)
    };
}

/// Arms the place that the environment names.
#[cfg(feature = "failpoints")]
pub fn arm_from_environment() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let Ok(spec) = std::env::var(VARIABLE) else { return };
    let (place, passing) = spec.split_once(':').unwrap_or((&spec, "1"));
    let is_place = [
        &PLACES[..],
        &NOTICE_PLACES,
        &POLL_PLACES,
        &RECONCILE_PLACES,
        &BACKFILL_PLACES,
        &MONTH_PLACES,
        &AWAITED_PLACES,
    ]
    .iter()
    .any(|places| places.contains(&place));
    assert!(is_place, "{VARIABLE} names no place: {place}");
    let left = AtomicU32::new(passing.parse().expect("the passing is a number"));
    fail::cfg_callback(place, move || {
        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
            kill_self();
        }
    })
    .expect("the place's action is well-formed");
}

#[cfg(feature = "failpoints")]
fn kill_self() {
    let pid = std::process::id().to_string();
    // SIGKILL: no destructor, no flush, no signal handler; as if the power cord was pulled.
    drop(std::process::Command::new("kill").args(["-9", &pid]).status());
    std::process::abort();
}
