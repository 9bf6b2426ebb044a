//! Hashes of passwords: who has one can look for the password as long as they like.

use super::{Format, Part, exact, pattern, run};
use crate::alphabet::{ALNUM, Alphabet, BASE64, DIGIT, DOT, PLUS_SLASH};

/// What `crypt(3)` writes hashes and salts with.
const CRYPT: Alphabet = ALNUM.or(DOT).or(PLUS_SLASH);

pub(super) const FORMATS: &[Format] = &[Format {
    id: "password-hash",
    title: "Hash of a password",
    patterns: &[
        pattern(
            &["$2a$", "$2b$", "$2x$", "$2y$"],
            &[exact(DIGIT, 2), Part::Text("$"), exact(CRYPT, 53)],
        ),
        pattern(
            &["$1$", "$apr1$"],
            &[run(CRYPT, 1, 8), Part::Text("$"), exact(CRYPT, 22)],
        ),
        pattern(
            &["$5$", "$6$"],
            &[run(CRYPT, 1, 16), Part::Text("$"), run(CRYPT, 43, 86)],
        ),
        pattern(
            &["$5$rounds=", "$6$rounds="],
            &[
                run(DIGIT, 1, 9),
                Part::Text("$"),
                run(CRYPT, 1, 16),
                Part::Text("$"),
                run(CRYPT, 43, 86),
            ],
        ),
        pattern(&["$P$", "$H$"], &[exact(CRYPT, 31)]),
        pattern(
            &["$argon2id$v=", "$argon2i$v=", "$argon2d$v="],
            &[
                run(DIGIT, 1, 3),
                Part::Text("$m="),
                run(DIGIT, 1, 9),
                Part::Text(",t="),
                run(DIGIT, 1, 9),
                Part::Text(",p="),
                run(DIGIT, 1, 9),
                Part::Text("$"),
                run(BASE64, 8, 128),
                Part::Text("$"),
                run(BASE64, 20, 256),
            ],
        ),
        pattern(
            &["pbkdf2_sha256$", "pbkdf2_sha1$"],
            &[
                run(DIGIT, 1, 9),
                Part::Text("$"),
                run(ALNUM, 4, 64),
                Part::Text("$"),
                run(BASE64, 27, 128),
            ],
        ),
        pattern(
            &["{SSHA}", "{SSHA256}", "{SSHA384}", "{SSHA512}"],
            &[run(BASE64, 28, 256)],
        ),
        pattern(
            &["SCRAM-SHA-256$"],
            &[
                run(DIGIT, 1, 9),
                Part::Text(":"),
                run(BASE64, 16, 64),
                Part::Text("$"),
                run(BASE64, 40, 48),
                Part::Text(":"),
                run(BASE64, 40, 48),
            ],
        ),
    ],
    yes: &[
        &[
            "$2",
            "b$12$",
            "nz8SRzAbHcgYnXsNl3HZ9E",
            "EgikUflkQeI.I6/e0Zw.j0MEy5PWoG0",
        ],
        &["$ap", "r1$TSaZc7m6$", "Cn2UMd.50CsSh9kO6sgqIL"],
        &[
            "$6",
            "$veTGva8HgT91p3ft$",
            "rd2Atq.BiCUqH0v9IHOle/kb5QRE3KdX60Wx.50q5yuDDgr8RfAV7yMwzgKu/Jf6qUIrqZiC..T63kUIab9cde",
        ],
        &[
            "$5",
            "$rounds=5000$",
            "B3pCgfQbK0Hly199$",
            "keph.PxkUrA2xf/eMDqMvNT4zkuw2FLklJRFLWdn97h",
        ],
        &["$P", "$", "ByY7rPVYhoEcnOTci2Bos2w.2kZV/8m"],
        &[
            "$ar",
            "gon2id$v=19$m=65536,t=3,p=4$",
            "JaSGTzIx10FclnUllxYWe0$",
            "bLhZetxZ5g6uHvFhDMm0TtJSTdyNd1d83kHPccUmd0N",
        ],
        &[
            "pbk",
            "df2_sha256$260000$",
            "FXFqXfF0Kz8DENnqNHTnP9$",
            "8dQ1hcbKTpycYKvZc4sH1LTDeAD9mw8M22ohiOz2ucE=",
        ],
        &["{SS", "HA}", "02MkmTO+RtlODfqn0ZD71uYuWdWyYgiQ"],
        &[
            "SCR",
            "AM-SHA-256$4096:",
            "c2FsdHNhbHRzYWx0MTIz$",
            "8dQ1hcbKTpycYKvZc4sH1LTDeAD9mw8M22ohiOz2ucE=:",
            "02MkmTO+RtlODfqn0ZD71uYuWdWyYgiQ8dQ1hcbKTpy=",
        ],
    ],
    no: &[
        &["$1$ and $2$ are the first two groups of the match"],
        &[
            "$2",
            "b$12$",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ],
        &["SELECT '$6$' || salt || '$' FROM users"],
        &["{SS", "HA} is the scheme"],
    ],
}];
