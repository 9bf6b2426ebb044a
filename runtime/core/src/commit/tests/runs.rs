//! Commits on the branches of months.

use super::*;

#[test]
fn a_commit_of_runs_alone_says_nothing_else() {
    let render = logged(Body::RenderChanged(RenderChanged {
        mirror: None,
        reason: "a new policy".to_owned(),
        digest: "x".to_owned(),
    }));
    let lane = LaneId {
        mirror: "acme".parse().unwrap(),
        branch: "1187".parse().unwrap(),
    };
    let digest = RenderDigest::parse("0123456789abcdef0123456789abcdef").unwrap();
    let cut = cut(&render);
    let draft = CommitDraft::of_runs(
        &lane,
        &"4021".parse().unwrap(),
        &cut,
        &digest,
        &OwnedPaths::new(None),
        None,
    );
    assert_eq!(draft.kind(), CommitKind::Jobs);
    let message = seal(draft);
    assert!(
        message.message().starts_with("Record job runs\n"),
        "{}",
        message.message()
    );
    assert_eq!(message.author().name(), MIRROR_NAME);
}
