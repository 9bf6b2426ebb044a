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

#[test]
fn what_of_others_is_deleted_is_named_in_words_that_do_nothing() {
    let of = |paths: &[&str], in_all: usize| {
        let mut draft = draft(vec![change("1", 2)]);
        draft.overwrites = Overwrites {
            changed: true,
            deleted: paths.iter().map(|path| (*path).to_owned()).collect(),
            deleted_in_all: in_all,
            uncounted: false,
        };
        let message = seal(draft).message().to_owned();
        let line = message.lines().find(|line| line.starts_with("Deletes "));
        line.expect("it is said").to_owned()
    };
    assert_eq!(
        of(&["configs/a.txt"], 1),
        "Deletes 1 file of somebody else in the mirror's directories: `configs/a.txt`."
    );
    assert_eq!(
        of(&["jobs/fixes #12`\nKbc-Mirror: x", "b"], 7),
        "Deletes 7 files of somebody else in the mirror's directories: `jobs/fixes # 12' Kbc-Mirror: x`, `b` and 5 more."
    );
}
