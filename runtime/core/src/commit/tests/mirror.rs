//! As whom the mirror commits.

use super::*;

fn as_mirror(draft: CommitDraft, authors: Authors) -> CommitDraft {
    let mirror = MirrorIdentity::new("Mirror of ACME", "mirror@acme.example", authors);
    draft.committed_as(&mirror.unwrap())
}

#[test]
fn people_stay_authors_of_what_another_committer_commits() {
    let sealed = seal(as_mirror(draft(vec![change("a", 42)]), Authors::People));
    assert_eq!(sealed.committer().email(), "mirror@acme.example");
    assert_eq!(sealed.author().email(), "dev@keboola.com");
    assert!(!sealed.message().contains("Co-authored-by"));
}

#[test]
fn where_the_mirror_is_the_author_all_people_are_named_beside_it() {
    let other = CoveredChange {
        author: Some(Author {
            token: Some("70".to_owned()),
            text: "ci-bot".to_owned(),
        }),
        ..change("b", 1)
    };
    let before = seal(draft(vec![change("a", 42), other.clone()]));
    let sealed = seal(as_mirror(draft(vec![change("a", 42), other]), Authors::Mirror));
    for signature in [sealed.author(), sealed.committer()] {
        assert_eq!(
            (signature.name(), signature.email()),
            ("Mirror of ACME", "mirror@acme.example")
        );
    }
    assert_eq!(sealed.author().time(), before.author().time(), "when it was made");
    let named: Vec<&str> = sealed
        .message()
        .lines()
        .filter_map(|line| line.strip_prefix("Co-authored-by: "))
        .collect();
    assert_eq!(
        named,
        [
            "ci-bot <70@tokens.4021.invalid>",
            "dev@keboola.com <dev@keboola.com>"
        ]
    );
    assert!(
        Trailers::parse(sealed.message()).is_some(),
        "the mirror can read its own commit"
    );
}

#[test]
fn who_is_not_known_is_said_and_the_mirror_is_not_beside_itself() {
    let unknown = CoveredChange {
        author: None,
        ..change("a", 42)
    };
    let sealed = seal(as_mirror(draft(vec![unknown]), Authors::Mirror));
    let expected = format!("Co-authored-by: {UNKNOWN_NAME} <unknown@tokens.4021.invalid>");
    assert!(sealed.message().contains(&expected), "{}", sealed.message());
    let sealed = seal(as_mirror(draft(Vec::new()), Authors::Mirror));
    assert!(
        !sealed.message().contains("Co-authored-by"),
        "{}",
        sealed.message()
    );
}
