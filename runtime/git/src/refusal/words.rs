//! The words of Git itself and of the large forges, in lower case, the more telling ones first.
//!
//! What stands here was seen in their documentation, their sources or reports of their users.

use super::{NoAccess, Refusal};

#[derive(Debug, Clone)]
pub(super) enum Word {
    Plain(Refusal),
    Secrets,
    FileTooLarge,
    Contended,
    RateLimited,
}

use Refusal::{
    AuthorEmail, BranchName, CommitRule, DeletionRefused, FileName, InvalidObjects, MissingObjects,
    NotPermitted, ProtectedBranch, PushTooLarge, Quota, ReadOnly, ServerStorage,
};
use Word::{Contended, FileTooLarge, Plain, RateLimited, Secrets};

/// All words of an entry must occur.
const WORDS: &[(&[&str], Word)] = &[
    // Secrets.
    (&["push cannot contain secrets"], Secrets), // GitHub GH013
    (&["push blocked", "secret"], Secrets),      // GitLab
    (&["secret push protection"], Secrets),      // GitLab
    (&["vs403654"], Secrets),                    // Azure DevOps
    (&["push was rejected", "contains one or more secrets"], Secrets), // Azure DevOps
    (&["push was rejected", "credentials or other secrets"], Secrets), // Azure DevOps
    (&["secret", "detected", "push rejected"], Secrets), // Bitbucket
    (&["secret scanning", "rejected"], Secrets),
    // Sizes.
    (&["exceeds github's file size limit"], FileTooLarge), // GitHub GH001
    (&["gh001"], FileTooLarge),
    (&["larger than the allowed size"], FileTooLarge), // GitLab
    (&["file", "is larger than"], FileTooLarge),       // GitLab
    (&["maximum file size"], FileTooLarge),            // Azure DevOps, Gitea
    (&["tf402448"], FileTooLarge),                     // Azure DevOps
    (&["object exceeds", "size"], FileTooLarge),
    (&["pack exceeds maximum allowed size"], Plain(PushTooLarge)), // Git, GitHub, GitLab, Bitbucket
    (&["push exceeds", "size"], Plain(PushTooLarge)),
    (&["vs403468"], Plain(PushTooLarge)), // Azure DevOps, over 5 GB
    (&["push", "larger than", "5 gb"], Plain(PushTooLarge)),
    (&["exceeded its size limit"], Plain(Quota)), // GitLab
    (&["exceed", "storage"], Plain(Quota)),       // GitLab
    (&["over", "size", "limit", "repository"], Plain(Quota)), // Bitbucket, GitHub
    (&["repository size", "limit"], Plain(Quota)), // Gitea
    (&["quota exceeded"], Plain(Quota)),          // Forgejo; a file system too
    (&["exceeds", "quota"], Plain(Quota)),
    (&["above its data quota"], Plain(Quota)),
    (&["no space left on device"], Plain(ServerStorage)),
    (
        &["insufficient permission for adding an object"],
        Plain(ServerStorage),
    ),
    (
        &["unable to create temporary", "permission denied"],
        Plain(ServerStorage),
    ),
    (&["read-only file system"], Plain(ServerStorage)),
    (
        &["unable to migrate objects to permanent storage"],
        Plain(ServerStorage),
    ),
    // Read-only.
    (&["archived"], Plain(ReadOnly)),       // GitHub, GitLab, Gitea
    (&["read-only mode"], Plain(ReadOnly)), // Bitbucket
    (&["repository", "read-only"], Plain(ReadOnly)),
    (&["repository", "is read only"], Plain(ReadOnly)),
    (&["instance", "read-only"], Plain(ReadOnly)),  // GitLab
    (&["mirror repository"], Plain(ReadOnly)),      // Gitea
    (&["repository is disabled"], Plain(ReadOnly)), // GitHub, Azure DevOps
    (&["tf401006"], Plain(ReadOnly)),
    // Identity.
    (&["gh007"], Plain(AuthorEmail)), // GitHub
    (&["email privacy restrictions"], Plain(AuthorEmail)),
    (&["author's email"], Plain(AuthorEmail)), // GitLab
    (&["committer's email"], Plain(AuthorEmail)),
    (&["committer email"], Plain(AuthorEmail)), // GitLab, Bitbucket
    (&["author email"], Plain(AuthorEmail)),    // GitHub rules, Azure DevOps
    (&["own verified emails"], Plain(AuthorEmail)), // GitLab
    (&["you cannot push commits for"], Plain(AuthorEmail)), // GitLab
    (&["is not a member of team"], Plain(AuthorEmail)), // GitLab
    (&["vs403702"], Plain(AuthorEmail)),        // Azure DevOps
    (&["only push your own commits"], Plain(AuthorEmail)), // Bitbucket
    // Commits.
    (&["commit message does not"], Plain(CommitRule)), // GitLab
    (&["commit message", "pattern"], Plain(CommitRule)),
    (&["must be signed"], Plain(CommitRule)),                // GitLab
    (&["must have verified signatures"], Plain(CommitRule)), // GitHub
    (&["tf402116"], Plain(CommitRule)),                      // Azure DevOps: linked work items
    (&["file name", "prohibited"], Plain(FileName)),         // GitLab
    (&["file path is restricted"], Plain(FileName)),         // GitHub
    (&["without `workflow` scope"], Plain(NotPermitted)),    // GitHub
    // Names.
    (&["branch name does not follow"], Plain(BranchName)), // GitLab
    (&["branch name must match"], Plain(BranchName)),      // GitHub
    (&["refname conflict"], Plain(BranchName)),            // Git
    (&["exists; cannot create"], Plain(BranchName)),       // Git
    (&["funny refname"], Plain(BranchName)),
    // Deletion.
    (&["deletion prohibited"], Plain(DeletionRefused)), // Git
    (&["deletion of the current branch"], Plain(DeletionRefused)),
    (&["denying ref deletion"], Plain(DeletionRefused)),
    (&["cannot delete", "branch"], Plain(DeletionRefused)),
    (&["delete protected branches"], Plain(DeletionRefused)), // GitLab
    (&["default branch", "cannot be deleted"], Plain(DeletionRefused)), // GitLab
    (&["tf401027", "'forcepush' permission"], Plain(DeletionRefused)), // Azure DevOps: nothing else of ours needs it
    (&["refusing to delete"], Plain(DeletionRefused)),                 // GitHub
    // Protected.
    (&["gh006"], Plain(ProtectedBranch)),            // GitHub
    (&["protected branch"], Plain(ProtectedBranch)), // GitHub, GitLab, Gitea
    (&["cannot update this protected ref"], Plain(ProtectedBranch)), // GitHub
    (&["must be made through a pull request"], Plain(ProtectedBranch)), // GitHub
    (
        &["only be modified through pull requests"],
        Plain(ProtectedBranch),
    ), // Bitbucket
    (&["use a pull request"], Plain(ProtectedBranch)), // Azure DevOps
    (&["tf402455"], Plain(ProtectedBranch)),         // Azure DevOps
    (&["gitrefupdaterejectedbypolicy"], Plain(ProtectedBranch)), // Azure DevOps
    (&["merge code into protected"], Plain(ProtectedBranch)), // GitLab
    (&["permission denied to update branch"], Plain(ProtectedBranch)), // Bitbucket
    (&["branch restriction"], Plain(ProtectedBranch)), // Bitbucket
    (&["is checked out"], Plain(ProtectedBranch)),   // Git: not a bare repository
    (&["branch is currently checked out"], Plain(ProtectedBranch)),
    (&["gh013"], Plain(ProtectedBranch)), // GitHub: some other rule
    (&["repository rule violations"], Plain(ProtectedBranch)),
    // Rights.
    (&["not allowed to push"], Plain(NotPermitted)), // GitLab
    (&["not allowed to create", "branch"], Plain(NotPermitted)), // GitLab
    (&["vs403463"], Plain(NotPermitted)),            // Azure DevOps: conditional access
    (&["conditional access policy"], Plain(NotPermitted)),
    (&["permission denied for writing"], Plain(NotPermitted)), // Gitea
    (&["tf401027"], Plain(NotPermitted)),                      // Azure DevOps
    (&["tf401019"], Plain(NotPermitted)),
    (&["not granted"], Plain(NotPermitted)),                // GitHub
    (&["denied to"], Plain(NotPermitted)),                  // GitHub
    (&["marked as read only"], Plain(NotPermitted)),        // GitHub: a deploy key
    (&["deploy key", "write access"], Plain(NotPermitted)), // GitLab
    (&["do not have permission"], Plain(NotPermitted)),
    (&["don't have permission"], Plain(NotPermitted)),
    (&["service not enabled"], Plain(NotPermitted)), // Git: `git daemon` and others
    // Somebody else was faster.
    (&["cannot lock ref"], Contended),
    (&["failed to update ref"], Contended),
    (&["reference already exists"], Contended),
    (&["failed to lock"], Contended),
    (&["unable to lock"], Contended),
    (&["fetch first"], Contended),
    (&["stale info"], Contended),
    (&["non-fast-forward"], Contended),
    (&["incorrect old value"], Contended),
    (&["transaction failed"], Contended),
    (&["tf401028"], Contended), // Azure DevOps: the ref was already updated by another client
    (&["already been updated by another client"], Contended),
    (&["is at", "but expected"], Contended),
    // Trouble that passes.
    (&["rate limit"], RateLimited),
    (&["pack file limit", "temporarily unavailable"], RateLimited), // Azure DevOps
    (&["internal api unreachable"], RateLimited),                   // GitLab
    (&["api is not accessible"], RateLimited),                      // GitLab
    (&["too many requests"], RateLimited),
    // Objects.
    (&["missing necessary objects"], Plain(MissingObjects)),
    (&["unresolved deltas"], Plain(MissingObjects)),
    (&["did not receive expected object"], Plain(MissingObjects)),
    (&["fsck error"], Plain(InvalidObjects)),
];

pub(super) fn find(all: &str) -> Option<Word> {
    let found = WORDS
        .iter()
        .find(|(words, _)| words.iter().all(|word| all.contains(word)));
    found.map(|(_, word)| word.clone())
}

/// What is said instead of talking about a repository at all, beside the words above for one that takes no changes and
/// for too many requests.
const NO_ACCESS: &[(&str, NoAccess)] = &[
    ("repository not exported", NoAccess::NotFound), // Git: `git daemon`
    ("no such repository", NoAccess::NotFound),
    ("does not appear to be a git repository", NoAccess::NotFound), // Git
    ("does not exist", NoAccess::NotFound),
    ("could not be found", NoAccess::NotFound), // GitLab
    ("not found", NoAccess::NotFound),          // GitHub, Gitea
    ("no such project", NoAccess::NotFound),
    ("tf401019", NoAccess::NotFound), // Azure DevOps: or without permissions
    ("marked as read only", NoAccess::Forbidden), // GitHub: a deploy key
    ("permission", NoAccess::Forbidden),
    ("not allowed", NoAccess::Forbidden),
    ("not enabled", NoAccess::Forbidden), // Git
    ("denied", NoAccess::Forbidden),
    ("forbidden", NoAccess::Forbidden),
    ("tf401027", NoAccess::Forbidden), // Azure DevOps
    ("too many", NoAccess::RateLimited),
];

pub(super) fn find_no_access(all: &str) -> Option<NoAccess> {
    let found = NO_ACCESS.iter().find(|(word, _)| all.contains(word));
    found.map(|(_, meaning)| *meaning)
}
