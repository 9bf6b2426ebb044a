//! Names of ours in what a remote says. It repeats the path of the repository and the branch, and a repository may well
//! be called `archived-projects`: what it means is read from the rest.

use crate::refname::RefName;

/// The names that say nothing about why.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnNames {
    /// Taken out wherever they stand by themselves, in small letters; the longest first.
    anywhere: Vec<String>,
    /// Taken out where they are quoted: ordinary words, which may be meant as such.
    quoted: Vec<String>,
}

const QUOTES: [char; 3] = ['\'', '"', '`'];

impl OwnNames {
    /// `remote` is its URL.
    pub(crate) fn of(remote: &str, refname: Option<&RefName>) -> Self {
        let mut names = Self::default();
        let remote = remote.to_lowercase();
        let path = match remote.split_once("://") {
            Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
            // `user@host:path`, or a directory of this machine.
            None => match remote.split_once(':') {
                Some((host, path)) if !host.contains('/') => path,
                _ => remote.as_str(),
            },
        };
        let path = path.trim_matches('/');
        names.add(&remote);
        names.add(path);
        names.add(path.strip_suffix(".git").unwrap_or(path));
        for part in path.split('/') {
            names.add(part);
            names.add(part.strip_suffix(".git").unwrap_or(part));
        }
        if let Some(refname) = refname {
            names.add(&refname.as_str().to_lowercase());
            names.add(&refname.short().to_lowercase());
        }
        names.anywhere.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names
    }

    fn add(&mut self, name: &str) {
        let is_word = name.chars().all(char::is_alphabetic);
        if name.is_empty() {
            return;
        }
        if is_word {
            self.quoted.push(name.to_owned());
        } else {
            self.anywhere.push(name.to_owned());
        }
    }

    /// Takes them out of a text in small letters, and with them all quoted paths: where a server keeps the repository
    /// is none of its reasons either.
    pub(super) fn taken_out(&self, text: &str) -> String {
        let mut text = without_quoted(text, |quoted| {
            quoted.contains('/') || self.quoted.iter().any(|name| name == quoted)
        });
        for name in &self.anywhere {
            text = without_name(&text, name);
        }
        text
    }
}

/// Takes out what is quoted, if it is meant.
fn without_quoted(text: &str, is_meant: impl Fn(&str) -> bool) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        // An apostrophe within a word opens nothing.
        let quoted = (QUOTES.contains(&c) && !before.is_alphanumeric())
            .then(|| quoted(&rest[1..], c))
            .flatten();
        if let Some(quoted) = quoted.filter(|quoted| is_meant(quoted)) {
            kept.push_str("''");
            rest = &rest[quoted.len() + 2..];
            before = c;
            continue;
        }
        kept.push(c);
        rest = &rest[c.len_utf8()..];
        before = c;
    }
    kept
}

/// Returns what stands up to the quote that ends it, on the same line.
fn quoted(text: &str, quote: char) -> Option<&str> {
    let line = text.split('\n').next().unwrap_or_default();
    let ends = |(place, _): &(usize, &str)| {
        let next = line[place + 1..].chars().next();
        !next.is_some_and(char::is_alphanumeric)
    };
    line.match_indices(quote)
        .find(ends)
        .map(|(place, _)| &line[..place])
}

/// Takes a name out where it is not part of a longer word.
fn without_name(text: &str, name: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut from = 0;
    for (place, found) in text.match_indices(name) {
        let within = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let end = place + found.len();
        if within(text[..place].chars().next_back()) || within(text[end..].chars().next()) {
            continue;
        }
        kept.push_str(&text[from..place]);
        kept.push(' ');
        from = end;
    }
    kept.push_str(&text[from..]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_names_are_taken_out_and_nothing_else() {
        let branch = RefName::branch("old-archived").unwrap();
        for (remote, refname, text, expected) in [
            (
                "git://h/archived/x.git",
                None,
                "access denied or repository not exported: /archived/x.git",
                "access denied or repository not exported: / ",
            ),
            (
                "ssh://git@h/archived/x.git",
                None,
                "fatal: '/srv/archived/x.git' does not appear to be a git repository",
                "fatal: '' does not appear to be a git repository",
            ),
            (
                "git@h:team/archived-x.git",
                None,
                "permission to team/archived-x.git denied to user; archived-xy",
                "permission to   denied to user; archived-xy",
            ),
            (
                "https://h/x.git",
                Some(&branch),
                "cannot lock ref 'refs/heads/old-archived': old-archived is gone",
                "cannot lock ref '':   is gone",
            ),
            (
                "https://h/archived",
                None,
                "repository 'archived' was archived so it is read-only",
                "repository '' was archived so it is read-only",
            ),
            (
                "https://h/x.git",
                None,
                "commit author's email 'anna@x.com' isn't 'a/b' nor 'c'",
                "commit author's email 'anna@x.com' isn't '' nor 'c'",
            ),
            (
                "https://h/x.git",
                None,
                "it's 'never ended/",
                "it's 'never ended/",
            ),
            ("/srv/archived.git", None, "archived.git is locked", "  is locked"),
        ] {
            let names = OwnNames::of(remote, refname);
            assert_eq!(names.taken_out(text), expected);
        }
    }
}
