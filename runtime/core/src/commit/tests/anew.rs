//! Commits in which everything looks different, and somebody has changed something besides.

use super::*;

#[test]
fn who_has_changed_something_meanwhile_has_not_made_that_everything_looks_different() {
    let render = logged(Body::RenderChanged(RenderChanged {
        mirror: None,
        reason: "format 2".to_owned(),
        digest: "x".to_owned(),
    }));
    let with_a_change = || draft_of(&cut(&render), vec![change("a", 2)]);
    check_subject(
        with_a_change(),
        "Render everything anew, with changes of 1 configuration",
    );
    let person = seal(draft(vec![change("a", 2)])).author().clone();
    let sealed = seal(with_a_change());
    assert_ne!(sealed.author().name, person.name);
    let together = format!("\nCo-authored-by: {} <{}>\n", person.name, person.email);
    assert!(sealed.message().contains(&together), "{}", sealed.message());
    assert!(
        sealed
            .message()
            .contains("\nEverything was rendered anew: format 2\n")
    );
}
